"""Files of fixed-size rows in sorted runs: what any range of keys needs can be read without reading the rest.

A run is the rows that fitted into memory when they were written, sorted by their key; its columns lie one after
another. Layout, little endian: the runs; uint64 rows of each run; uint64 number of runs. A reader of the keys
[low, high) maps the file, searches each run, and touches only those pages: so the number of ranges is chosen when the
files are read, after everything has been counted.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from taixue.base import files

from . import record

END = 1 << 64
_ALIGNMENT = 8  # numpy copies what it searches when it is not aligned
Rows = dict[str, np.ndarray]


class RunWriter:
    """Writes runs under a temporary name. columns: name -> dtype; the first one is the key, uint64."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self.path = path
        self._columns = dict(columns)
        self._runs: list[int] = []
        self._stream = files.temporary_name(path).open("wb")

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return sum(self._runs)

    def add(self, rows: Rows) -> None:
        """Append one run; equal keys keep their order."""
        key = next(iter(self._columns))
        if not len(rows[key]):
            return
        order = np.argsort(rows[key], kind="stable")
        for name, dtype in self._columns.items():
            column = np.ascontiguousarray(rows[name][order], dtype=dtype)
            self._stream.write(column.tobytes() + bytes(-column.nbytes % _ALIGNMENT))
        self._runs.append(len(order))

    def finish(self) -> None:
        """Publish the file."""
        self._stream.write(np.array([*self._runs, len(self._runs)], "<u8").tobytes())
        self._stream.close()
        files.publish(files.temporary_name(self.path), self.path)


class RunFile:
    """A finished file of runs, mapped. UserError for one whose size is not that of its runs."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self._columns = dict(columns)
        size = path.stat().st_size
        self._raw = np.memmap(path, np.uint8, "r") if size else np.zeros(0, np.uint8)
        runs = int(self._raw[-8:].view("<u8")[0]) if size >= 8 else 0
        if size % 8 or size < 8 * (runs + 1):
            raise record.damaged(path, f"{size} bytes cannot hold the sizes of {runs} runs")
        self._runs: list[int] = self._raw[size - 8 * (runs + 1) : size - 8].view("<u8").tolist()
        expected = sum(self._column_bytes(rows, dtype) for rows in self._runs for dtype in columns.values())
        if size != expected + 8 * (runs + 1):
            raise record.damaged(path, f"{size} bytes, but its runs make {expected + 8 * (runs + 1)}")

    @staticmethod
    def _column_bytes(rows: int, dtype: str) -> int:
        size = rows * np.dtype(dtype).itemsize
        return size + -size % _ALIGNMENT

    def slices(self, low: int = 0, high: int = END) -> Iterator[Rows]:
        """The rows with low <= key < high of each run that has any, in the file's order; arrays are copies."""
        position = 0
        for rows in self._runs:
            begin = end = 0
            found: Rows = {}
            for number, (name, dtype) in enumerate(self._columns.items()):
                size = rows * np.dtype(dtype).itemsize
                column = self._raw[position : position + size].view(dtype)
                position += self._column_bytes(rows, dtype)
                if number == 0:
                    begin = int(np.searchsorted(column, np.uint64(low)))
                    end = rows if high >= END else int(np.searchsorted(column, np.uint64(high)))
                if begin < end:
                    found[name] = np.array(column[begin:end])
            if begin < end:
                yield found

    def count(self) -> int:
        """Rows of the file."""
        return sum(self._runs)


def concatenate(columns: Mapping[str, str], parts: list[Rows]) -> Rows:
    """Parts one after another; empty columns when there is none."""
    return {
        name: np.concatenate([np.zeros(0, dtype), *(part[name] for part in parts)])
        for name, dtype in columns.items()
    }


def ranges(parts: int) -> list[tuple[int, int]]:
    """The key space in equal parts: [low, high) of each."""
    return [(END * part // parts, END * (part + 1) // parts) for part in range(parts)]


def stretches(ordered: np.ndarray) -> Iterator[tuple[int, int]]:
    """[begin, end) of each run of equal values in an ordered array."""
    begins = [0, *(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1).tolist()]
    if len(ordered):
        yield from zip(begins, [*begins[1:], len(ordered)], strict=True)
