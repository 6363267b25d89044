"""The cleaned text of an input shard between passes, not compressed: the disk is faster than the compressor.

<shard>.text: the UTF-8 of all documents, one after another; <shard>.length: uint32 bytes of each.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from .. import files

_BLOCK_BYTES = 4_000_000


class TextWriter:
    """Writes both files under temporary names; `finish` publishes them."""

    def __init__(self, text: Path, length: Path) -> None:
        self.paths = [text, length]
        self._text, self._length = (files.temporary_name(path).open("wb") for path in self.paths)

    def add(self, raw: Sequence[bytes]) -> None:
        """Append documents."""
        self._text.write(b"".join(raw))
        self._length.write(np.fromiter(map(len, raw), "<u4", len(raw)).tobytes())

    def finish(self) -> None:
        self._text.close()
        self._length.close()
        for path in self.paths:
            files.publish(files.temporary_name(path), path)


def read_texts(text: Path, length: Path) -> Iterator[list[bytes]]:
    """All documents in order, as UTF-8, in blocks of about 4 MB."""
    ends = np.cumsum(np.fromfile(length, "<u4"), dtype=np.int64)
    first = begin = 0
    with text.open("rb") as stream:
        while first < len(ends):
            last = max(first + 1, int(np.searchsorted(ends, begin + _BLOCK_BYTES, side="right")))
            places = [0, *(ends[first:last] - begin).tolist()]
            content = stream.read(places[-1])
            yield [content[a:b] for a, b in pairwise(places)]
            first, begin = last, int(ends[last - 1])


def read_text(text: Path, length: Path, number: int) -> bytes:
    """Document `number` alone."""
    lengths = np.fromfile(length, "<u4", number + 1)
    with text.open("rb") as stream:
        stream.seek(int(lengths[:-1].sum(dtype=np.int64)))
        return stream.read(int(lengths[-1]))
