"""The documents of an input shard that become tokens: cleaned, without copies and repeats.

What a document is removed for stays: copies were looked for among the documents that passed the filters and hold no
evaluation text, and a paragraph goes where another document, which stays, holds it. What is left of a document is
asked again whether it passes; if not the document goes, unless others gave a paragraph up for it: then it stays whole.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import native
from ..clean.cleaner import Cleaner
from ..shards import manifest
from . import record
from .cleaned import CleanedShard
from .cut import InputShard
from .decontaminate import Decontamination
from .paragraphs import repeated
from .resolve import Removed
from .statistics import write_statistics
from .texts import read_texts

_EVALUATION = "evaluation text"


class Survivors:
    """Batches of about 4 MB: (texts, int64 bytes of each, int64 numbers in the cleaned shard, bytes of text worked
    through).

    Iterate once; then inputs, and the files in stats/, say what was read and removed.
    paragraph_parts: number of files the pass `paragraphs` made; 0 without it.
    """

    def __init__(self, shard: InputShard, paragraph_parts: int) -> None:
        self._shard, self._parts = shard, paragraph_parts
        self._counts: dict[str, dict[str, Any]] = {
            name: {"documents": 0, "bytes": 0}
            for name in ("exact duplicates", "near duplicates", "repeated paragraphs")
        }
        self.inputs: tuple[manifest.InputRecord, ...] = ()

    def __iter__(self) -> Iterator[tuple[native.Texts, np.ndarray, np.ndarray, int]]:
        if self._shard.config.deduplicate is None:
            yield from self._cleaned()
        else:
            yield from self._unique()
        write_statistics(self._shard, "write", dict(self._counts))

    def _cleaned(self) -> Iterator[tuple[native.Texts, np.ndarray, np.ndarray, int]]:
        cleaned, begin = CleanedShard(self._shard), 0
        for texts, sizes, amount in cleaned:
            yield texts, sizes, np.arange(begin, begin + len(texts)), amount
            begin += len(texts)
        self.inputs = tuple(cleaned.inputs)

    def _unique(self) -> Iterator[tuple[native.Texts, np.ndarray, np.ndarray, int]]:
        shard, begin = self._shard, 0
        removed, is_exact = Removed(shard).of(shard)
        repeats = _Repeats(shard, self._parts, self._counts["repeated paragraphs"])
        for batch, sizes in read_texts(shard.work("clean", ".text"), shard.work("clean", ".length")):
            amount = int(sizes.sum())
            numbers = np.arange(begin, begin + len(batch))
            begin += len(batch)
            first, last = np.searchsorted(removed, [numbers[0], begin]).tolist()
            gone = removed[first:last] - numbers[0]
            for name, which in (("exact duplicates", True), ("near duplicates", False)):
                mine = gone[is_exact[first:last] == which]
                self._counts[name]["documents"] += len(mine)
                self._counts[name]["bytes"] += int(sizes[mine].sum())
            stays = np.ones(len(batch), bool)
            stays[gone] = False
            texts, stays = repeats.cut(batch, numbers, stays)
            kept = np.flatnonzero(stays)
            texts = texts if len(kept) == len(texts) else texts.select(kept)
            yield texts, native.byte_counts(texts), numbers[kept], amount
        self._counts["filtered again"] = repeats.filtered()
        found_inputs = record.read(shard.work("clean", ".json"))["inputs"]
        self.inputs = tuple(manifest.InputRecord.model_validate(entry) for entry in found_inputs)


class _Repeats:
    """Takes repeated paragraphs out of documents, and the documents whose rest does not pass."""

    def __init__(self, shard: InputShard, parts: int, counts: dict[str, int]) -> None:
        self._repeats, self._holders = repeated(shard, parts)
        self._counts = counts
        self._counts |= {"paragraphs": 0, "kept whole": 0}
        self._decontamination = Decontamination(shard)
        # The rest of a document that stays whole all the same is not counted as removed.
        self._cleaner, self._uncounted = (Cleaner(None, shard.config.filters) for _ in range(2))
        self._evaluation = {"documents": 0, "bytes": 0}

    def cut(
        self, batch: native.Batch, numbers: np.ndarray, stays: np.ndarray
    ) -> tuple[native.Batch, np.ndarray]:
        """Texts and which of them stay, after that."""
        places = [place for place in np.flatnonzero(stays).tolist() if int(numbers[place]) in self._repeats]
        if not places:
            return batch, stays
        stays, order = stays.copy(), np.arange(len(batch))
        left = [_without(batch[place], self._repeats[int(numbers[place])]) for place in places]
        holds = np.array([int(numbers[place]) in self._holders for place in places])
        for which, cleaner in ((holds, self._uncounted), (~holds, self._cleaner)):
            chosen = np.flatnonzero(which).tolist()
            passes = self._passing([left[k] for k in chosen], cleaner)
            for k, is_good in zip(chosen, passes.tolist(), strict=True):
                place = places[k]
                if not is_good and holds[k]:
                    self._counts["kept whole"] += 1
                    continue
                order[place] = len(batch) + k
                stays[place] = is_good
                self._counts["paragraphs"] += len(self._repeats[int(numbers[place])])
                self._counts["bytes"] += len(batch[place]) - len(left[k])
                self._counts["documents"] += not left[k]
        return native.gather([batch, left]).select(order), stays

    def _passing(self, texts: list[bytes], cleaner: Cleaner) -> np.ndarray:
        present = np.fromiter(map(bool, texts), bool, len(texts))
        passes = cleaner.judge(texts, present)
        clear = self._decontamination.are_clear(texts)
        if cleaner is self._cleaner:
            found = native.byte_counts(texts)[passes & ~clear]
            self._evaluation["documents"] += len(found)
            self._evaluation["bytes"] += int(found.sum())
        return passes & clear

    def filtered(self) -> dict[str, Any]:
        """What of the documents that lost paragraphs was removed, by rule."""
        rules: dict[str, Any] = self._cleaner.counts()["rules"]
        if self._evaluation["documents"]:
            rules = rules | {_EVALUATION: self._evaluation | {"samples": []}}
        total = {name: sum(rule[name] for rule in rules.values()) for name in ("documents", "bytes")}
        return total | {"details": {"rules": rules}}


def _without(document: bytes, repeats: set[int]) -> bytes:
    """A document without these of its lines; nothing when nothing but white space is left."""
    lines = document.split(b"\n")
    left = b"\n".join(line for number, line in enumerate(lines) if number not in repeats)
    return left if left.strip() else b""
