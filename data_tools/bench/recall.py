"""Which planted copies a build found: seen from outside, by what is left in the corpus."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..shards.corpus import open_corpus
from ..tokenizer.store import Tokenizer
from .made_documents import File, ngrams

_BATCH = 1000
_UNLIKE = 0.5
_BOUNDS = (1.0, 0.9, 0.8, 0.7, _UNLIKE)


def recall(file: File, tokenizer: Tokenizer, corpus: Path) -> dict[str, Any]:
    """For planted pairs by their Jaccard similarity, how many were joined: one of the two is gone.

    corpus: made of the file in its order, with nothing but deduplication. Sentences are drawn from the same texts, so
    some documents are copies by chance. So each document that went, but not for a planted copy at 0.5 or more, is
    compared with all others by brute force: wrongly_removed counts those that are not like any at 0.5, and a pair below
    0.5 counts as joined when one of those is in it.
    """
    kept = survivors(file.documents, tokenizer, corpus)
    close = {number for pair in file.planted if pair.jaccard >= _UNLIKE for number in (pair.copy, pair.of)}
    unclear = [number for number, stays in enumerate(kept) if not stays and number not in close]
    nearest = most_similar(file.documents, unclear)
    wrongly = {number for number in unclear if nearest[number] < _UNLIKE}
    groups: dict[str, dict[str, int]] = {}
    bounds = [(f"{low:g} to {high:g}", low, high) for high, low in pairwise(_BOUNDS)]
    for name, low, high in [
        ("1 (equal)", 1.0, 2.0),
        *bounds,
        ("at least 0.8", 0.8, 2.0),
        ("below 0.5", 0.0, _UNLIKE),
    ]:
        pairs = [pair for pair in file.planted if low <= pair.jaccard < high]
        gone = wrongly if high == _UNLIKE else {number for number, stays in enumerate(kept) if not stays}
        joined = sum(pair.copy in gone or pair.of in gone for pair in pairs)
        groups[name] = {"planted": len(pairs), "joined": joined}
    removed = kept.count(False)
    return {
        "by_jaccard": groups,
        "removed": removed,
        "by_chance": len(unclear),
        "wrongly_removed": len(wrongly),
    }


def most_similar(documents: Sequence[str], targets: Sequence[int]) -> dict[int, float]:
    """For each target (the number of a document), the highest Jaccard similarity with any other document."""
    sizes: dict[int, int] = {}
    holders: dict[str, list[int]] = {}
    for target in targets:
        own = ngrams(documents[target])
        sizes[target] = len(own)
        for gram in own:
            holders.setdefault(gram, []).append(target)
    best = dict.fromkeys(targets, 0.0)
    for number, text in enumerate(documents if targets else ()):
        own = ngrams(text)
        common = Counter(target for gram in holders.keys() & own for target in holders[gram])
        for target, count in common.items():
            if target != number:
                best[target] = max(best[target], count / (len(own) + sizes[target] - count))
    return best


def survivors(documents: list[str], tokenizer: Tokenizer, corpus: Path) -> list[bool]:
    """Which documents are in the corpus: its documents are some of these, in the same order."""
    left = _documents(corpus)
    current = next(left, None)
    kept = []
    for begin in range(0, len(documents), _BATCH):
        tokens, lengths = tokenizer.encode_joined(documents[begin : begin + _BATCH])
        for own in np.split(tokens, np.cumsum(lengths)[:-1]):
            stays = current is not None and np.array_equal(own, current)
            kept.append(stays)
            if stays:
                current = next(left, None)
    assert current is None, "the corpus holds a document that the file does not"
    return kept


def _documents(corpus: Path) -> Iterator[np.ndarray]:
    for shard in open_corpus(corpus, "train").shards:
        for number in range(len(shard.reader.lengths)):
            yield shard.reader.document(number)
