"""Which documents are held out: decided by their tokens alone, so that no document stands on both sides.

A document's key is a hash of its tokens; the keys below validation_fraction are validation. When that leaves a side of
a source empty, the nearest key changes sides: in every source, with all documents that have it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from taixue.base import rng

from .. import native
from ..shards import manifest
from . import record
from .cut import SPLITS, InputShard
from .statistics import statistics_path, write_statistics


def split_keys(tokens: np.ndarray, lengths: np.ndarray, seed: int) -> np.ndarray:
    """uint64 (N,) of documents whose tokens lie one after another."""
    return rng.mix(native.token_hash(tokens, lengths) ^ rng.mix(np.array([seed], np.uint64)))


def are_held_out(keys: np.ndarray, fraction: float) -> np.ndarray:
    """0 or 1 of each key: the place of its side in SPLITS."""
    return (keys < np.uint64(fraction * 2.0**64)).astype(np.int64)


class SplitCounts:
    """The documents of an input shard on each side, and the ends of their keys: stats/<shard>.split.json."""

    def __init__(self, shard: InputShard) -> None:
        self._shard = shard
        self._sides: dict[str, list[int]] = {split: [] for split in SPLITS}

    def add(self, keys: np.ndarray, held_out: np.ndarray) -> None:
        for number, split in enumerate(SPLITS):
            own = keys[held_out == number]
            if len(own):
                count, *ends = self._sides[split] or [0]
                self._sides[split] = [
                    count + len(own),
                    min([*ends, int(own.min())]),
                    max([*ends, int(own.max())]),
                ]

    def publish(self) -> None:
        write_statistics(self._shard, "split", {**self._sides})


def moved_keys(shards: Sequence[InputShard]) -> frozenset[int]:
    """The keys that change sides; shards: all of the corpus, every one's counts published."""
    found = set()
    if shards[0].config.validation_fraction:
        for name in dict.fromkeys(shard.source.name for shard in shards):
            counts = [
                record.read(statistics_path(shard, "split")) for shard in shards if shard.source.name == name
            ]
            train, validation = (_together(counts, split) for split in SPLITS)
            if not validation and len(set(train)) == 2:
                found.add(train[0])
            if not train and len(set(validation)) == 2:
                found.add(validation[1])
    return frozenset(found)


def _together(counts: list[dict[str, Any]], split: manifest.Split) -> list[int]:
    """[lowest, highest key] of one side of several shards; [] of an empty one."""
    ends = [entry[split][1:] for entry in counts if entry[split]]
    return [min(low for low, _ in ends), max(high for _, high in ends)] if ends else []


def with_moved(held_out: np.ndarray, keys: np.ndarray, moved: frozenset[int]) -> np.ndarray:
    """held_out after the moved keys have changed sides."""
    return held_out ^ np.isin(keys, np.array(sorted(moved), np.uint64)).astype(np.int64)
