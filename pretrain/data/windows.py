"""Fixed windows over the tokens of a source, or over what lies beside each of them: its shards one after another,
cut every `length` tokens.

Windows run across documents and shards; what is left at the end (less than one window) is not used.
"""

from collections.abc import Sequence

import numpy as np


class Windows:
    """Windows of a source. tokens: one array (N, ...) per shard (memory-mapped), in order."""

    def __init__(self, tokens: Sequence[np.ndarray], length: int) -> None:
        self._tokens = [shard for shard in tokens if len(shard)]
        self._ends = np.cumsum([len(shard) for shard in self._tokens], dtype=np.int64)
        self.length = length
        self.tokens = int(self._ends[-1]) if len(self._ends) else 0

    def __len__(self) -> int:
        return self.tokens // self.length

    def gather(self, numbers: np.ndarray, out: np.ndarray) -> None:
        """Copy windows `numbers` (N,) into out (N, length, ...)."""
        begins = numbers * self.length
        shards = np.searchsorted(self._ends, begins, side="right")
        for row, begin, shard in zip(out, begins.tolist(), shards.tolist(), strict=True):
            offset = begin - (int(self._ends[shard - 1]) if shard else 0)
            part = self._tokens[shard][offset : offset + self.length]
            if len(part) == self.length:
                row[:] = part
            else:
                self._gather_across(row, shard, offset)

    def _gather_across(self, row: np.ndarray, shard: int, offset: int) -> None:
        filled = 0
        while filled < self.length:
            part = self._tokens[shard][offset : offset + self.length - filled]
            row[filled : filled + len(part)] = part
            filled += len(part)
            shard, offset = shard + 1, 0
