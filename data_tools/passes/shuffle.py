"""Passes `deal` and `gather`: the documents of a source in one random order over all its shards.

The key of a document is a bijection of its id given by the seed, so the keys of a corpus are a permutation: shard
number k of n holds the documents whose keys lie in the k-th part of 2^64, ordered by key. `deal` tokenizes an input
shard and sorts it by key, `gather` collects a part from the files of all input shards of its source.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taixue.base import files, rng

from ..shards import manifest
from . import match, record, runs
from .cut import SPLITS, InputShard, digest
from .splits import SplitCounts, are_held_out, moved_keys, split_keys
from .survivors import Survivors
from .write import Encoded, Encoder, Sink, is_finished

COLUMNS = {"key": "<u8", "split": "<u8", "offset": "<u8", "tokens": "<u4", "bytes": "<u4"}
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
        counts, config = SplitCounts(shard), shard.config
        for texts, sizes, numbers, amount in documents:
            encoded = encoder.encode(texts)
            split_key = split_keys(encoded.tokens, encoded.lengths, config.seed)
            held_out = are_held_out(split_key, config.validation_fraction)
            counts.add(split_key, held_out)
            rows = np.stack([_keys(shard, numbers), split_key, sizes.astype(np.uint64)], axis=1)
            for number, hand in enumerate(hands):
                which = np.flatnonzero(held_out == number)
                hand.add(encoded.select(which), rows[which])
            yield amount
        encoder.write_statistics()
        counts.publish()
        for hand in hands:
            hand.finish()
        record.publish(
            self.record,
            self.stamp,
            made,
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
        self._parts: list[tuple[Encoded, np.ndarray]] = []
        self._waiting = 0
        self._offset = 0

    def add(self, encoded: Encoded, rows: np.ndarray) -> None:
        """Documents, and of each uint64 (N, 3): its key, its key of the split, its bytes."""
        if not len(rows):
            return
        self._parts.append((encoded, rows))
        self._waiting += len(encoded.tokens)
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
        keys, splits, sizes = np.concatenate([rows for _, rows in parts]).T
        order = np.argsort(keys)
        rows = [part.rows for part, _ in parts if part.rows is not None]
        joined = Encoded(
            np.concatenate([part.tokens.astype(self._dtype) for part, _ in parts]),
            np.concatenate(rows) if rows else None,
            np.concatenate([part.lengths for part, _ in parts]),
        ).select(order)
        self._streams[0].write(joined.tokens.tobytes())
        if joined.rows is not None:
            self._streams[1].write(joined.rows.tobytes())
        offsets = self._offset + np.cumsum(joined.lengths) - joined.lengths
        self._offset += len(joined.tokens)
        columns = (keys[order], splits[order], offsets, joined.lengths, sizes[order])
        self._rows.add(dict(zip(COLUMNS, columns, strict=True)))


@dataclass(frozen=True)
class GatherTask:
    """Makes one output shard: part `number` of the keys of one source and split.

    shards: all input shards of the corpus; index: of the one with this number and source.
    """

    shards: tuple[InputShard, ...]
    index: int
    split: manifest.Split

    def __str__(self) -> str:
        return self.shards[self.index].name(self.split)

    @property
    def size(self) -> int:
        shard = self.shards[self.index]
        fraction = shard.config.validation_fraction
        return int(shard.text_bytes * (fraction if self.split == "validation" else 1 - fraction))

    def is_finished(self) -> bool:
        return is_finished(self.shards[self.index], (self.split,))

    def run(self) -> Iterator[int]:
        shard = self.shards[self.index]
        own = [other for other in self.shards if other.source.name == shard.source.name]
        encoder = Encoder(shard)
        sink = Sink(shard, self.split, encoder)
        moved = moved_keys(self.shards)
        try:
            for split in SPLITS if moved else (self.split,):
                yield from self._collect(own, split, encoder, sink, moved)
            dealt = record.read(shard.work("deal", ".json"))
            inputs = [manifest.InputRecord.model_validate(entry) for entry in dealt["inputs"]]
            sink.finish(inputs, tuple(sorted(moved)))
        finally:
            sink.close()

    def _collect(
        self,
        own: Sequence[InputShard],
        split: manifest.Split,
        encoder: Encoder,
        sink: Sink,
        moved: frozenset[int],
    ) -> Iterator[int]:
        """Add the documents of a side that are in this shard's part, a bounded number of tokens at a time: of this
        task's side those that are not moved, of the other those that are."""
        found: list[runs.Rows] = []
        origins: list[Path] = []
        low, high = runs.ranges(len(own))[self.shards[self.index].number]
        changing = np.array(sorted(moved), np.uint64)
        for shard in own:
            for rows in runs.RunFile(_path(shard, split, ".rows"), COLUMNS).slices(low, high):
                wanted = np.isin(rows["split"], changing) == (split != self.split)
                found.append({name: column[wanted] for name, column in rows.items()})
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
    """Rows in the order of their origin and place in it; those that lie one after another are read in one go."""
    tokens, annotation = [], []
    follows = np.zeros(len(origin), bool)
    follows[1:] = (origin[1:] == origin[:-1]) & (rows["offset"][1:] == (rows["offset"] + rows["tokens"])[:-1])
    for begin, end in runs.stretches(np.cumsum(~follows)):
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
