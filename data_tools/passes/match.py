"""Pass `match`: within one range of hashes, over all input shards, pairs of documents that are copies.

Each task holds the rows of its range and little else, so the number of ranges bounds its memory. The pairs go to a
file of uint64 (N, 2): the smaller id first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from taixue.base import files

from . import fingerprint, runs
from .cut import WORK_FOLDER, InputShard
from .ranges import RangeTask

Kind = Literal["exact", "near"]
COLUMNS: dict[Kind, dict[str, str]] = {
    "exact": {"high": "<u8", "low": "<u8", "document": "<u4"},
    "near": {"band": "<u8", "document": "<u4"},
}
ROW_MEMORY = {"exact": 144, "near": 104}  # bytes held per row at the peak of a task, measured
DOCUMENT_BITS = 32
_WINDOW = 8  # rows of one band that follow each other are compared all with all up to this distance
_CHUNK = 1 << 17


@dataclass(frozen=True)
class MatchTask(RangeTask):
    """Pairs within one range of hashes of one kind."""

    kind: Kind

    def __str__(self) -> str:
        return f"match-{self.kind}-{self.part:05d}"

    @property
    def path(self) -> Path:
        return self.shards[0].output / WORK_FOLDER / "match" / f"{self.kind}-{self.part:05d}.pairs"

    @property
    def row_bytes(self) -> int:
        return sum(np.dtype(dtype).itemsize for dtype in COLUMNS[self.kind].values())

    def make(self, low: int, high: int) -> dict[str, Any]:
        rows = load_rows(self.shards, f".{self.kind}", COLUMNS[self.kind], low, high)
        pairs = 0
        with files.temporary_name(self.path).open("wb") as stream:
            for found in exact_pairs(rows) if self.kind == "exact" else near_pairs(rows, self.shards):
                stream.write(found.tobytes())
                pairs += len(found)
        files.publish(files.temporary_name(self.path), self.path)
        return {"pairs": pairs}


def load_rows(
    shards: Sequence[InputShard], suffix: str, columns: dict[str, str], low: int, high: int
) -> runs.Rows:
    """Rows of a key range from every shard's file; `document` becomes the id in the corpus, uint64."""
    wide = columns | {"document": "<u8"}
    return runs.concatenate(wide, list(read_rows(shards, suffix, columns, low, high)))


def read_rows(
    shards: Sequence[InputShard], suffix: str, columns: dict[str, str], low: int, high: int
) -> Iterator[runs.Rows]:
    """The rows of load_rows, one run at a time."""
    for shard in shards:
        for rows in runs.RunFile(shard.work("clean", suffix), columns).slices(low, high):
            yield rows | {"document": document_ids(shard.index, rows["document"])}


def document_ids(index: int, numbers: np.ndarray) -> np.ndarray:
    """Ids in the corpus, uint64, of documents `numbers` of input shard `index`: ordered as the inputs are."""
    return numbers.astype(np.uint64) | np.uint64(index << DOCUMENT_BITS)


def exact_pairs(rows: runs.Rows) -> Iterator[np.ndarray]:
    """Each document whose 128-bit hash occurred before, with the first that has it."""
    order = stable_order(rows["high"], rows["low"])  # runs hold documents in their order
    same = np.ones(len(order), bool)
    for name in ("high", "low"):
        column = rows[name][order]
        same[1:] &= column[1:] == column[:-1]
    same[:1] = False
    documents = rows["document"][order]
    yield np.stack([documents[_first_of_run(same)][same], documents[same]], axis=1)


def near_pairs(rows: runs.Rows, shards: Sequence[InputShard]) -> Iterator[np.ndarray]:
    """Pairs with an equal band whose sketches are similar enough.

    Of the documents of one band, each is compared with the next _WINDOW and with the first, so the work is linear
    even when a band is shared by very many.
    """
    order = stable_order(rows["band"])  # runs hold documents in their order
    bands, documents = rows["band"][order], rows["document"][order]
    rows.clear()
    same = np.concatenate([[False], bands[1:] == bands[:-1]])[: len(bands)]
    first = _first_of_run(same)
    for begin in range(0, len(bands), _CHUNK):
        here = np.arange(begin, min(begin + _CHUNK, len(bands)))
        pairs = []
        for distance in range(1, _WINDOW + 1):
            there = here[here - first[here] >= distance]
            pairs.append(np.stack([documents[there - distance], documents[there]], axis=1))
        there = here[here - first[here] > _WINDOW]
        pairs.append(np.stack([documents[first[there]], documents[there]], axis=1))
        candidates = np.concatenate(pairs)
        candidates = unique_pairs(candidates[candidates[:, 0] != candidates[:, 1]])
        if len(candidates):
            yield candidates[are_similar(candidates, shards)]


def stable_order(*keys: np.ndarray) -> np.ndarray:
    """Places of rows ordered by the first key uint64, then the next; equal rows keep their order."""
    return np.lexsort(keys[::-1])


def are_among(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Which values, uint64 (N,), an ascending array holds: bool (N,)."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    place = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.asarray(ordered[place] == values)


def unique_pairs(pairs: np.ndarray) -> np.ndarray:
    """Rows of (N, 2), sorted, each once."""
    pairs = pairs[stable_order(pairs[:, 0].astype(np.uint64), pairs[:, 1].astype(np.uint64))]
    fresh = np.ones(len(pairs), bool)
    fresh[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[fresh]


def _first_of_run(same: np.ndarray) -> np.ndarray:
    """Position of the first of each row's run; same: whether a row continues the run of the row before."""
    return np.maximum.accumulate(np.where(same, 0, np.arange(len(same))))


def are_similar(pairs: np.ndarray, shards: Sequence[InputShard]) -> np.ndarray:
    """Which pairs of documents uint64 (N, 2) have sketches that are similar enough, bool (N,)."""
    config = shards[0].config.deduplicate
    assert config is not None
    sketches, places = _of_documents(pairs, shards, ".sketch", np.uint8, config.permutations)
    found = np.empty(len(pairs), bool)
    for begin in range(0, len(pairs), _CHUNK):
        part = places[begin : begin + _CHUNK]
        estimate = fingerprint.similarity(sketches[part[:, 0]], sketches[part[:, 1]])
        found[begin : begin + _CHUNK] = estimate >= config.similarity
    return found


def are_equal(pairs: np.ndarray, shards: Sequence[InputShard]) -> np.ndarray:
    """Which pairs of documents uint64 (N, 2) are exact copies, bool (N,)."""
    hashes, places = _of_documents(pairs, shards, ".identity", np.uint64, 2)
    return np.asarray((hashes[places[:, 0]] == hashes[places[:, 1]]).all(axis=1))


def _of_documents(
    pairs: np.ndarray, shards: Sequence[InputShard], suffix: str, dtype: type[np.generic], columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (M, columns) of the documents of pairs, and the row of each of them, int64 (N, 2)."""
    documents, places = np.unique(pairs, return_inverse=True)
    rows = np.empty((len(documents), columns), dtype)
    owners = (documents >> np.uint64(DOCUMENT_BITS)).astype(np.int64)
    numbers = (documents & np.uint64((1 << DOCUMENT_BITS) - 1)).astype(np.int64)
    for begin, end in runs.stretches(owners):
        table = np.memmap(shards[owners[begin]].work("clean", suffix), dtype, "r").reshape(-1, columns)
        rows[begin:end] = table[numbers[begin:end]]
    return rows, places.reshape(pairs.shape)
