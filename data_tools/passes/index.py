"""What the copies of a shard's documents, and of their paragraphs, are found by: rows in runs (runs.py).

Copies that one run of rows holds become pairs at once; match.py finds the others, over all shards.
"""

from pathlib import Path

import numpy as np

from taixue.base import files

from .. import native
from ..config import DeduplicateConfig
from . import fingerprint, match, runs
from .cut import InputShard

SUFFIXES = (
    *(".exact", ".identity", ".near", ".sketch", ".paragraph", ".boilerplate"),
    *(".exact-pairs", ".near-pairs"),
)
PARAGRAPH_COLUMNS = {"hash": "<u8", "document": "<u4", "paragraph": "<u4"}
_RUN_DOCUMENTS = 1 << 16
_RUN_PARAGRAPHS = 1 << 20
_LONG_RUN = 64  # rows with one hash that a run hands on to the next passes


def of(shard: InputShard, config: DeduplicateConfig) -> "list[Documents | Paragraphs]":
    """The indexes that a configuration asks for."""
    found: list[Documents | Paragraphs] = []
    if config.near or config.documents:
        found.append(Documents(shard, config))
    if config.paragraphs:
        found.append(Paragraphs(shard, config.paragraph_characters))
    return found


class ArrayWriter:
    """Arrays one after another, under a temporary name until `finish`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = files.temporary_name(path).open("wb")

    def add(self, array: np.ndarray) -> None:
        self._stream.write(array.tobytes())

    def finish(self) -> None:
        self._stream.close()
        files.publish(files.temporary_name(self.path), self.path)


Writer = runs.RunWriter | ArrayWriter


class Documents:
    """Collects documents until they fill a run; of each, a hash for its copies and bands for its near copies.

    The files of a source that takes no part in one of them are empty.
    """

    def __init__(self, shard: InputShard, config: DeduplicateConfig) -> None:
        self._exact = _Exact(shard)
        self._near = _Near(shard, config) if config.near else None
        self._takes_part = bool({"documents", "near"} & shard.copies)
        self._has_near = "near" in shard.copies
        self._hashes: list[np.ndarray] = []
        self._first = self._waiting = 0

    def add(self, texts: native.Texts) -> None:
        """Take the next documents of the shard."""
        if not len(texts) or not self._takes_part:
            return
        self._hashes.append(native.exact_hash(texts))
        if self._near is not None and self._has_near:
            self._near.add(texts)
        self._waiting += len(texts)
        if self._waiting >= _RUN_DOCUMENTS:
            self._write_run()

    def finish(self) -> list[Writer]:
        """Publish the files."""
        if self._waiting:
            self._write_run()
        writers = [*self._exact.writers, *(self._near.writers if self._near is not None else ())]
        for writer in writers:
            writer.finish()
        return writers

    def _write_run(self) -> None:
        hashes = np.concatenate(self._hashes)
        numbers = np.arange(self._first, self._first + len(hashes), dtype=np.uint32)
        fresh = self._exact.write_run(numbers, hashes)
        if self._near is not None and self._has_near:
            self._near.write_run(numbers, fresh)
        self._first += len(hashes)
        self._hashes, self._waiting = [], 0


class _Exact:
    """Rows of hashes, pairs of equal documents, and the hash of every document."""

    def __init__(self, shard: InputShard) -> None:
        self._shard = shard
        self._rows = runs.RunWriter(shard.work("clean", ".exact"), match.COLUMNS["exact"])
        self._pairs = ArrayWriter(shard.work("clean", ".exact-pairs"))
        self._hashes = ArrayWriter(shard.work("clean", ".identity"))
        self.writers: tuple[Writer, ...] = (self._rows, self._pairs, self._hashes)

    def write_run(self, numbers: np.ndarray, hashes: np.ndarray) -> np.ndarray:
        """numbers uint32 (N,), hashes uint64 (N, 2); returns the places of those that are no copy of an earlier one."""
        self._hashes.add(hashes)
        places = np.arange(len(hashes))
        copy_of = _first_copy(hashes)
        fresh, copies = np.flatnonzero(copy_of == places), np.flatnonzero(copy_of != places)
        self._pairs.add(_pairs(self._shard, numbers[copy_of[copies]], numbers[copies]))
        self._rows.add({"high": hashes[fresh, 0], "low": hashes[fresh, 1], "document": numbers[fresh]})
        return fresh


class _Near:
    """Rows of bands, pairs of similar documents, and the sketch of every document."""

    def __init__(self, shard: InputShard, config: DeduplicateConfig) -> None:
        self._shard, self._config = shard, config
        self._rows = runs.RunWriter(shard.work("clean", ".near"), match.COLUMNS["near"])
        self._pairs = ArrayWriter(shard.work("clean", ".near-pairs"))
        self._sketches = ArrayWriter(shard.work("clean", ".sketch"))
        self.writers: tuple[Writer, ...] = (self._rows, self._pairs, self._sketches)
        self._waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, texts: native.Texts) -> None:
        found = fingerprint.near(texts, self._config)
        self._sketches.add(found[1])
        self._waiting.append(found)

    def write_run(self, numbers: np.ndarray, fresh: np.ndarray) -> None:
        """Of what was added since the last run, uint32 (N,), the documents at these places."""
        bands, sketches, has_ngrams = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting = []
        fresh = fresh[has_ngrams[fresh]]
        band, document = bands[fresh].reshape(-1), np.repeat(fresh, bands.shape[1])
        order = np.argsort(band, kind="stable")
        band, document = band[order], document[order]
        first = _run_starts(band)
        far = np.arange(len(band)) - first >= _LONG_RUN
        pairs = match.unique_pairs(np.stack([document[first[far]], document[far]], axis=1))
        similar = fingerprint.similarity(sketches[pairs[:, 0]], sketches[pairs[:, 1]])
        pairs = pairs[similar >= self._config.similarity]
        self._pairs.add(_pairs(self._shard, numbers[pairs[:, 0]], numbers[pairs[:, 1]]))
        self._rows.add({"band": band[~far], "document": numbers[document[~far]]})


class Paragraphs:
    """Rows of long paragraphs; those that occurred very often before in their run, in a file of their own."""

    def __init__(self, shard: InputShard, characters: int) -> None:
        self._takes_part = "paragraphs" in shard.copies
        self._characters = characters
        self._rows = runs.RunWriter(shard.work("clean", ".paragraph"), PARAGRAPH_COLUMNS)
        self._boilerplate = runs.RunWriter(shard.work("clean", ".boilerplate"), PARAGRAPH_COLUMNS)
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._documents = self._waiting = 0

    def add(self, texts: native.Texts) -> None:
        """Take the next documents of the shard; none of a source that takes no part."""
        if not self._takes_part:
            return
        hashes, offsets = native.paragraph_hashes(texts)
        counts = np.diff(offsets)
        numbers = np.arange(self._documents, self._documents + len(counts), dtype=np.uint32)
        document = np.repeat(numbers, counts)
        paragraph = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
        long = (hashes[:, 2] >= self._characters) & hashes[:, :2].any(axis=1)
        self._parts.append((hashes[long, 0], document[long], paragraph[long].astype(np.uint32)))
        self._documents += len(counts)
        self._waiting += int(long.sum())
        if self._waiting >= _RUN_PARAGRAPHS:
            self._write_run()

    def finish(self) -> list[Writer]:
        """Publish the files."""
        if self._parts:
            self._write_run()
        self._rows.finish()
        self._boilerplate.finish()
        return [self._rows, self._boilerplate]

    def _write_run(self) -> None:
        columns = [np.concatenate(parts) for parts in zip(*self._parts, strict=True)]
        self._parts, self._waiting = [], 0
        order = np.argsort(columns[0], kind="stable")
        rows = dict(zip(PARAGRAPH_COLUMNS, (column[order] for column in columns), strict=True))
        far = np.arange(len(order)) - _run_starts(rows["hash"]) >= _LONG_RUN
        for writer, which in ((self._rows, ~far), (self._boilerplate, far)):
            writer.add({name: column[which] for name, column in rows.items()})


def _pairs(shard: InputShard, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """uint64 (N, 2): ids over all shards of pairs of a shard's numbers."""
    return np.stack([match.document_ids(shard.index, side) for side in (left, right)], axis=1)


def _run_starts(ordered: np.ndarray) -> np.ndarray:
    """Position of the first equal value, for each of an ordered array."""
    fresh = np.ones(len(ordered), bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    return np.maximum.accumulate(np.where(fresh, np.arange(len(ordered)), 0))


def _first_copy(hashes: np.ndarray) -> np.ndarray:
    """For each row of uint64 (N, 2), the first row that equals it."""
    order = match.stable_order(hashes[:, 0], hashes[:, 1])  # stable: of equal rows, the first comes first
    ordered = hashes[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))
    found = np.empty(len(order), np.int64)
    found[order] = order[starts]
    return found
