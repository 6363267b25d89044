"""The documents of an input shard that become tokens: cleaned, without copies, repeats and contamination."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import orjson

from taixue.base import files

from .. import native
from ..clean.config import NormalizeConfig
from ..config import DecontaminateConfig
from ..shards import manifest
from . import record
from .cleaned import CleanedShard
from .contamination import EvaluationSets
from .cut import InputShard
from .paragraphs import repeated
from .resolve import Removed
from .statistics import write_statistics
from .texts import read_texts

CONTAMINATED_FOLDER = "decontaminated"
_EXCERPT = 200


class Survivors:
    """Batches of about 4 MB: (texts, int64 bytes of each, int64 numbers in the cleaned shard, bytes of text worked
    through).

    Iterate once; then inputs, and the files in decontaminated/ and stats/, say what was read and removed.
    paragraph_parts: number of files the pass `paragraphs` made; 0 without it.
    """

    def __init__(self, shard: InputShard, paragraph_parts: int) -> None:
        self._shard, self._parts = shard, paragraph_parts
        self._counts = {
            name: Counter({"documents": 0, "bytes": 0})
            for name in ("exact duplicates", "near duplicates", "repeated paragraphs", "decontaminate")
        }
        self._listed: list[dict[str, object]] = []
        self._hits: Counter[int] = Counter()  # documents by evaluation file
        self.inputs: tuple[manifest.InputRecord, ...] = ()

    def __iter__(self) -> Iterator[tuple[native.Texts, np.ndarray, np.ndarray, int]]:
        sets = _evaluation_sets_of(self._shard)
        for texts, sizes, numbers, amount in self._unique():
            if sets is not None:
                clear = self._clear(sets, texts, sizes, numbers)
                texts, sizes, numbers = _select(texts, clear), sizes[clear], numbers[clear]
            yield texts, sizes, numbers, amount
        self._publish()

    def _unique(self) -> Iterator[tuple[native.Texts, np.ndarray, np.ndarray, int]]:
        shard, begin = self._shard, 0
        if shard.config.deduplicate is None:
            cleaned = CleanedShard(shard)
            for found, sizes, amount in cleaned:
                yield found, sizes, np.arange(begin, begin + len(found)), amount
                begin += len(found)
            self.inputs = tuple(cleaned.inputs)
            return
        removed, is_exact = Removed(shard).of(shard)
        repeats = repeated(shard, self._parts) if self._parts else {}
        for batch, sizes in read_texts(shard.work("clean", ".text"), shard.work("clean", ".length")):
            amount = int(sizes.sum())
            numbers = np.arange(begin, begin + len(batch))
            begin += len(batch)
            first, last = np.searchsorted(removed, [numbers[0], begin]).tolist()
            gone = removed[first:last] - numbers[0]
            for name, which in (("exact duplicates", True), ("near duplicates", False)):
                mine = gone[is_exact[first:last] == which]
                self._counts[name].update(documents=len(mine), bytes=int(sizes[mine].sum()))
            stays = np.ones(len(batch), bool)
            stays[gone] = False
            shortened = [number for number in numbers[stays].tolist() if number in repeats] if repeats else []
            texts: native.Texts = batch
            if shortened:
                places = np.array(shortened) - numbers[0]
                left = [
                    self._without(batch[place], repeats[number])
                    for place, number in zip(places.tolist(), shortened, strict=True)
                ]
                sizes[places] = native.byte_counts(left)
                order = np.arange(len(batch))
                order[places] = np.arange(len(batch), len(batch) + len(left))
                texts = native.gather([batch, left]).select(order)
                stays &= sizes > 0
            kept = np.flatnonzero(stays)
            yield _select(texts, kept), sizes[kept], numbers[kept], amount
        found_inputs = record.read(shard.work("clean", ".json"))["inputs"]
        self.inputs = tuple(manifest.InputRecord.model_validate(entry) for entry in found_inputs)

    def _without(self, document: bytes, repeats: set[int]) -> bytes:
        lines = document.split(b"\n")
        left = b"\n".join(line for number, line in enumerate(lines) if number not in repeats)
        left = left if left.strip() else b""
        self._counts["repeated paragraphs"].update(
            documents=not left, bytes=len(document) - len(left), paragraphs=len(repeats)
        )
        return left

    def _clear(
        self, sets: EvaluationSets, texts: native.Texts, sizes: np.ndarray, numbers: np.ndarray
    ) -> np.ndarray:
        """Places of the texts that share nothing with the evaluation sets; the others are listed."""
        clear = np.ones(len(texts), bool)
        for place, owner, begin, end in sets.find(texts):
            self._hits[owner] += 1
            text = texts[place]
            text = text.decode() if isinstance(text, bytes) else text
            clear[place] = False
            self._listed.append(
                {
                    "document": int(numbers[place]),
                    "evaluation": sets.files[owner],
                    "shared": text[begin:end],
                    "text": text[:_EXCERPT],
                }
            )
        self._counts["decontaminate"].update(documents=int((~clear).sum()), bytes=int(sizes[~clear].sum()))
        return np.flatnonzero(clear)

    def _publish(self) -> None:
        shard = self._shard
        sets = _evaluation_sets_of(shard)
        facts: dict[str, object] = {name: dict(counts) for name, counts in self._counts.items()}
        if sets is not None:
            facts["evaluation sets"] = sets.counts(self._hits)
            path = contaminated_path(shard)
            path.parent.mkdir(exist_ok=True)
            files.remove_temporaries(path)
            files.write(path, b"".join(orjson.dumps(line) + b"\n" for line in self._listed))
        write_statistics(shard, "write", facts)


def contaminated_path(shard: InputShard) -> Path:
    """List of the documents of a shard that share an n-gram with an evaluation set."""
    return shard.output / CONTAMINATED_FOLDER / f"{shard.base}.jsonl"


def _select(texts: native.Texts, which: np.ndarray) -> native.Texts:
    if len(which) == len(texts):
        return texts
    return texts.select(which) if hasattr(texts, "select") else [texts[place] for place in which.tolist()]


def _evaluation_sets_of(shard: InputShard) -> EvaluationSets | None:
    config = shard.config
    if config.decontaminate is None:
        return None
    return _evaluation_sets(config.decontaminate, config.normalize)


@lru_cache(maxsize=1)
def _evaluation_sets(config: DecontaminateConfig, normalize: NormalizeConfig | None) -> EvaluationSets:
    return EvaluationSets(config, [normalize] if normalize else [])
