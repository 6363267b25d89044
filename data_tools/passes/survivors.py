"""The documents of an input shard that become tokens: cleaned, without copies, repeats and contamination."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import orjson

from .. import files, manifest
from ..config import DecontaminateConfig
from ..plan import InputShard
from . import match, record
from .clean import CleanedShard, write_statistics
from .contamination import EvaluationSets
from .paragraphs import repeated
from .resolve import Removed
from .texts import read_texts

CONTAMINATED_FOLDER = "decontaminated"
_EXCERPT = 200


class Survivors:
    """Batches of about 4 MB: (texts as UTF-8, numbers int64 in the cleaned shard, bytes of text worked through).

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
        self.inputs: tuple[manifest.InputRecord, ...] = ()

    def __iter__(self) -> Iterator[tuple[list[bytes], np.ndarray, int]]:
        config = self._shard.config.decontaminate
        for texts, numbers, amount in self._unique():
            if config is not None:
                texts, numbers = self._clear(_evaluation_sets(config), texts, numbers)
            yield texts, numbers, amount
        self._publish()

    def _unique(self) -> Iterator[tuple[list[bytes], np.ndarray, int]]:
        shard, begin = self._shard, 0
        if shard.config.deduplicate is None:
            cleaned = CleanedShard(shard)
            for _, raw, amount in cleaned:
                yield raw, np.arange(begin, begin + len(raw)), amount
                begin += len(raw)
            self.inputs = tuple(cleaned.inputs)
            return
        removed = Removed(shard).of(shard)
        repeats = repeated(shard, self._parts) if self._parts else {}
        for block in read_texts(shard.work("clean", ".text"), shard.work("clean", ".length")):
            kept: list[bytes] = []
            numbers: list[int] = []
            for number, document in enumerate(block, begin):
                if number in removed:
                    name = "exact duplicates" if removed[number] else "near duplicates"
                    self._counts[name].update(documents=1, bytes=len(document))
                    continue
                if number in repeats:
                    document = self._without(document, repeats[number])
                if document:
                    kept.append(document)
                    numbers.append(number)
            begin += len(block)
            yield kept, np.array(numbers, np.int64), sum(map(len, block))
        found = record.read(shard.work("clean", ".json"))["inputs"]
        self.inputs = tuple(manifest.InputRecord.model_validate(entry) for entry in found)

    def _without(self, document: bytes, repeats: set[int]) -> bytes:
        lines = document.split(b"\n")
        left = b"\n".join(line for number, line in enumerate(lines) if number not in repeats)
        left = left if left.strip() else b""
        self._counts["repeated paragraphs"].update(
            documents=not left, bytes=len(document) - len(left), paragraphs=len(repeats)
        )
        return left

    def _clear(
        self, sets: EvaluationSets, texts: list[bytes], numbers: np.ndarray
    ) -> tuple[list[bytes], np.ndarray]:
        found = sets.find(texts)
        for place, (file, shared) in sorted(found.items()):
            self._counts["decontaminate"].update(documents=1, bytes=len(texts[place]))
            self._listed.append(
                {
                    "document": int(numbers[place]),
                    "evaluation": file,
                    "shared": shared,
                    "text": texts[place].decode()[:_EXCERPT],
                }
            )
        kept = [place for place in range(len(texts)) if place not in found]
        return [texts[place] for place in kept], numbers[kept]

    def _publish(self) -> None:
        shard = self._shard
        if shard.config.decontaminate is not None:
            path = contaminated_path(shard)
            path.parent.mkdir(exist_ok=True)
            files.remove_temporaries(path)
            files.write(path, b"".join(orjson.dumps(line) + b"\n" for line in self._listed))
        write_statistics(shard, "write", {name: dict(counts) for name, counts in self._counts.items()})


def contaminated_path(shard: InputShard) -> Path:
    """List of the documents of a shard that share an n-gram with an evaluation set."""
    return shard.output / CONTAMINATED_FOLDER / f"{shard.base}.jsonl"


def ids(shard: InputShard, numbers: np.ndarray) -> np.ndarray:
    """Ids in the corpus, uint64."""
    return match.document_ids(shard.index, numbers)


@lru_cache(maxsize=1)
def _evaluation_sets(config: DecontaminateConfig) -> EvaluationSets:
    return EvaluationSets(config)
