"""Which planted copies a build found: seen from outside, by what is left in the corpus."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..corpus import open_corpus
from ..tokenizer import Tokenizer
from .documents import File

_BATCH = 1000
_BOUNDS = (1.01, 1.0, 0.9, 0.8, 0.7, 0.5, 0.0)


def recall(file: File, tokenizer: Tokenizer, corpus: Path) -> dict[str, Any]:
    """For planted pairs by their Jaccard similarity, how many were joined: one of the two is gone.

    corpus: made of the file in its order, with nothing but deduplication. others_removed: documents that went and are
    in no planted pair; sentences are drawn from the same texts, so some documents are copies by chance.
    """
    kept = survivors(file.documents, tokenizer, corpus)
    groups: dict[str, dict[str, int]] = {}
    for high, low in pairwise(_BOUNDS):
        pairs = [pair for pair in file.planted if low <= pair.jaccard < high]
        joined = sum(not (kept[pair.copy] and kept[pair.of]) for pair in pairs)
        name = "1 (equal)" if low == 1.0 else f"{low:g} to {high:g}" if low else f"below {high:g}"
        groups[name] = {"planted": len(pairs), "joined": joined}
    close = [pair for pair in file.planted if pair.jaccard >= 0.8]
    joined = sum(not (kept[pair.copy] and kept[pair.of]) for pair in close)
    groups["at least 0.8"] = {"planted": len(close), "joined": joined}
    touched = {number for pair in file.planted for number in (pair.copy, pair.of)}
    others = sum(not stays and number not in touched for number, stays in enumerate(kept))
    return {"by_jaccard": groups, "removed": kept.count(False), "others_removed": others}


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
