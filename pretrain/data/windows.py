"""Fixed windows over the tokens of a source, or over what lies beside each of them: its shards one after another,
cut every `length` tokens.

Windows run across documents and shards; what is left at the end (less than one window) is not used.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Sliced(Protocol):
    """An array whose slices are made when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> np.ndarray: ...


class Windows:
    """Windows of a source. tokens: one array (N, ...) per shard (memory-mapped), or what gives its slices, in order."""

    def __init__(self, tokens: Sequence["np.ndarray | Sliced"], length: int) -> None:
        # As plain arrays: a slice of a numpy.memmap takes several times as long.
        self._tokens = [
            np.asarray(shard) if isinstance(shard, np.ndarray) else shard for shard in tokens if len(shard)
        ]
        self._ends = np.cumsum([len(shard) for shard in self._tokens], dtype=np.int64)
        self.length = length
        self.tokens = int(self._ends[-1]) if len(self._ends) else 0

    def __len__(self) -> int:
        return self.tokens // self.length

    def gather(self, numbers: np.ndarray, out: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Copy windows `numbers` (N,) into out (N, length, ...), or into these rows (N,) of it."""
        places = range(len(numbers)) if rows is None else rows.tolist()
        begins = numbers * self.length
        shards = np.searchsorted(self._ends, begins, side="right")
        offsets = begins - np.append(0, self._ends)[shards]
        for place, offset, shard in zip(places, offsets.tolist(), shards.tolist(), strict=True):
            part = self._tokens[shard][offset : offset + self.length]
            if len(part) == self.length:
                out[place] = part
            else:
                self._gather_across(out[place], shard, offset)

    def _gather_across(self, row: np.ndarray, shard: int, offset: int) -> None:
        filled = 0
        while filled < self.length:
            part = self._tokens[shard][offset : offset + self.length - filled]
            row[filled : filled + len(part)] = part
            filled += len(part)
            shard, offset = shard + 1, 0
