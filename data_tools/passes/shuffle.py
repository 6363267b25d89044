"""Passes `deal` and `gather`: the documents of a source in one random order over all its shards.

The key of a document is a bijection of its id given by the seed, so the keys of a corpus are a permutation: shard
number k of n holds the documents whose keys lie in the k-th part of 2^64, ordered by key. `deal` tokenizes an input
shard and sorts it by key, `gather` collects a part from the files of all input shards of its source.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from taixue.base import files, rng

from ..shards import manifest
from . import match, record, runs
from .cut import SPLITS, InputShard, digest
from .survivors import Survivors
from .write import Encoded, Encoder, Sink, are_held_out, is_finished

COLUMNS = {"key": "<u8", "offset": "<u8", "tokens": "<u4", "bytes": "<u4"}
_RUN_TOKENS = 1 << 22
_GATHER_TOKENS = 1 << 21


@dataclass(frozen=True)
class DealTask:
    """Makes work/deal/<shard>-<split>.*: documents as tokens, in runs sorted by key."""

    shard: InputShard
    paragraph_parts: int

    def __str__(self) -> str:
        return f"deal-{self.shard.base}"

    @property
    def size(self) -> int:
        return self.shard.text_bytes

    @property
    def record(self) -> Path:
        return self.shard.work("deal", ".json")

    @property
    def stamp(self) -> str:
        return digest([self.shard.stamp, self.paragraph_parts])

    def is_finished(self) -> bool:
        return record.is_finished(self.record, self.stamp)

    def run(self) -> Iterator[int]:
        shard = self.shard
        self.record.parent.mkdir(parents=True, exist_ok=True)
        encoder = Encoder(shard)
        suffixes = [".rows", ".tokens", *([".ann"] if encoder.annotator else [])]
        made = [_path(shard, split, suffix) for split in SPLITS for suffix in suffixes]
        record.forget(self.record, made)
        hands = [_Hand(shard, split, encoder) for split in SPLITS]
        documents = Survivors(shard, self.paragraph_parts)
        for texts, sizes, numbers, amount in documents:
            encoded = encoder.encode(texts)
            held_out = are_held_out(texts, shard)
            keys = _keys(shard, numbers)
            for number, hand in enumerate(hands):
                which = np.flatnonzero(held_out == number)
                hand.add(encoded.select(which), keys[which], sizes[which])
            yield amount
        encoder.write_statistics()
        for hand in hands:
            hand.finish()
        record.publish(
            self.record,
            self.stamp,
            made,
            documents={split: hand.documents for split, hand in zip(SPLITS, hands, strict=True)},
            first={split: hand.first for split, hand in zip(SPLITS, hands, strict=True) if hand.documents},
            inputs=[piece.model_dump() for piece in documents.inputs],
        )


def _keys(shard: InputShard, numbers: np.ndarray) -> np.ndarray:
    """Place of each document in the order of its source: distinct, uint64."""
    seed = rng.mix(np.array([shard.config.seed], np.uint64))
    return rng.mix(rng.mix(match.document_ids(shard.index, numbers) ^ seed) + seed)


def _path(shard: InputShard, split: manifest.Split, suffix: str) -> Path:
    return shard.work("deal", f"-{split}{suffix}")


class _Hand:
    """One split of a dealt shard."""

    def __init__(self, shard: InputShard, split: manifest.Split, encoder: Encoder) -> None:
        self._dtype = encoder.dtype
        self._rows = runs.RunWriter(_path(shard, split, ".rows"), COLUMNS)
        self._paths = [_path(shard, split, ".tokens")]
        if encoder.annotator is not None:
            self._paths.append(_path(shard, split, ".ann"))
        self._streams = [files.temporary_name(path).open("wb") for path in self._paths]
        self._parts: list[tuple[Encoded, np.ndarray, np.ndarray]] = []
        self._waiting = 0
        self._offset = 0
        self.documents = 0
        self.first = runs.END

    def add(self, encoded: Encoded, keys: np.ndarray, sizes: np.ndarray) -> None:
        if not len(keys):
            return
        self._parts.append((encoded, keys, sizes))
        self._waiting += len(encoded.tokens)
        self.documents += len(keys)
        self.first = min(self.first, int(keys.min()))
        if self._waiting >= _RUN_TOKENS:
            self._flush()

    def finish(self) -> None:
        self._flush()
        for stream, path in zip(self._streams, self._paths, strict=True):
            stream.close()
            files.publish(files.temporary_name(path), path)
        self._rows.finish()

    def _flush(self) -> None:
        """One run, rows and tokens in the order of the keys."""
        if not self._parts:
            return
        parts, self._parts, self._waiting = self._parts, [], 0
        keys, sizes = (np.concatenate([part[column] for part in parts]) for column in (1, 2))
        order = np.argsort(keys)
        rows = [part.rows for part, _, _ in parts if part.rows is not None]
        joined = Encoded(
            np.concatenate([part.tokens.astype(self._dtype) for part, _, _ in parts]),
            np.concatenate(rows) if rows else None,
            np.concatenate([part.lengths for part, _, _ in parts]),
        ).select(order)
        self._streams[0].write(joined.tokens.tobytes())
        if joined.rows is not None:
            self._streams[1].write(joined.rows.tobytes())
        offsets = self._offset + np.cumsum(joined.lengths) - joined.lengths
        self._offset += len(joined.tokens)
        self._rows.add(
            {"key": keys[order], "offset": offsets, "tokens": joined.lengths, "bytes": sizes[order]}
        )


@dataclass(frozen=True)
class GatherTask:
    """Makes one output shard: part `number` of the keys of one source and split.

    shards: all input shards of the source. An empty split of a source with more than one document gets the document
    with the smallest key of the other split.
    """

    shards: tuple[InputShard, ...]
    number: int
    split: manifest.Split

    def __str__(self) -> str:
        return self.shards[self.number].name(self.split)

    @property
    def size(self) -> int:
        shard = self.shards[self.number]
        fraction = shard.config.validation_fraction
        return int(shard.text_bytes * (fraction if self.split == "validation" else 1 - fraction))

    def is_finished(self) -> bool:
        return is_finished(self.shards[self.number], (self.split,))

    def run(self) -> Iterator[int]:
        shard = self.shards[self.number]
        encoder = Encoder(shard)
        sink = Sink(shard, self.split, encoder)
        dealt = [record.read(shard.work("deal", ".json")) for shard in self.shards]
        moved = self._moved(dealt)
        low, high = runs.ranges(len(self.shards))[self.number]
        wanted = [(self.split, low, high)]
        if moved is not None and low <= moved[1] < high:
            other, key = moved
            if other == self.split:  # this split gives the document away
                wanted = [(self.split, low, key), (self.split, key + 1, high)]
            else:
                wanted = [(other, key, key + 1)]
        try:
            for split, begin, end in wanted:
                yield from self._collect(sink, split, begin, end, encoder)
            inputs = [manifest.InputRecord.model_validate(entry) for entry in dealt[self.number]["inputs"]]
            sink.finish(inputs)
        finally:
            sink.close()

    def _moved(self, dealt: Sequence[dict[str, Any]]) -> tuple[manifest.Split, int] | None:
        """(split it comes from, key) of the document that keeps a split from being empty."""
        if not self.shards[0].config.validation_fraction:
            return None
        counts = {split: sum(entry["documents"][split] for entry in dealt) for split in SPLITS}
        if sum(counts.values()) < 2 or all(counts.values()):
            return None
        giver: manifest.Split = "train" if counts["train"] else "validation"
        return giver, min(entry["first"][giver] for entry in dealt if giver in entry["first"])

    def _collect(
        self, sink: Sink, split: manifest.Split, low: int, high: int, encoder: Encoder
    ) -> Iterator[int]:
        """Add the documents with low <= key < high, a bounded number of tokens at a time."""
        found: list[runs.Rows] = []
        origins: list[Path] = []
        for shard in self.shards:
            for rows in runs.RunFile(_path(shard, split, ".rows"), COLUMNS).slices(low, high):
                found.append(rows)
                origins.append(_path(shard, split, ".tokens"))
        origin = np.repeat(np.arange(len(found)), [len(rows["key"]) for rows in found])
        rows = runs.concatenate(COLUMNS, found)
        order = np.argsort(rows["key"])
        ends = np.cumsum(rows["tokens"][order], dtype=np.int64)
        begin = 0
        while begin < len(order):
            limit = (ends[begin - 1] if begin else 0) + _GATHER_TOKENS
            end = max(begin + 1, int(np.searchsorted(ends, limit, side="right")))
            chosen = order[begin:end]
            # Rows of one run lie one after another in its file: read each run's part in one go.
            chosen = chosen[np.lexsort((rows["key"][chosen], origin[chosen]))]
            picked = {name: column[chosen] for name, column in rows.items()}
            joined = _read(picked, origin[chosen], origins, encoder)
            size = int(picked["bytes"].sum(dtype=np.int64))
            sink.add(joined.select(np.argsort(picked["key"])), size)
            yield size
            begin = end


def _read(rows: runs.Rows, origin: np.ndarray, origins: Sequence[Path], encoder: Encoder) -> Encoded:
    tokens, annotation = [], []
    for begin, end in runs.stretches(origin):
        path = origins[origin[begin]]
        offset = int(rows["offset"][begin])
        count = int(rows["tokens"][begin:end].sum(dtype=np.int64))
        size = encoder.dtype.itemsize
        tokens.append(np.fromfile(path, encoder.dtype, count, offset=offset * size))
        if encoder.annotator is not None:
            width = encoder.annotator.dtype.itemsize
            rest = np.fromfile(path.with_suffix(".ann"), np.uint8, count * width, offset=offset * width)
            annotation.append(rest.reshape(count, width))
    return Encoded(
        np.concatenate(tokens),
        np.concatenate(annotation) if annotation else None,
        rows["tokens"].astype(np.int64),
    )
