"""The cleaned text of an input shard between passes, not compressed: the disk is faster than the compressor.

<shard>.text: the UTF-8 of all documents, one after another; <shard>.length: uint32 bytes of each.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from taixue.base import files

from .. import native
from . import record

_BLOCK_BYTES = 4_000_000


class TextWriter:
    """Writes both files under temporary names; `finish` publishes them."""

    def __init__(self, text: Path, length: Path) -> None:
        self.paths = [text, length]
        self._text, self._length = (files.temporary_name(path).open("wb") for path in self.paths)

    def add(self, texts: native.Texts, sizes: np.ndarray) -> None:
        """Append documents, of so many bytes each."""
        self._text.write(native.joined(texts))
        self._length.write(sizes.astype("<u4").tobytes())

    def finish(self) -> None:
        self._text.close()
        self._length.close()
        for path in self.paths:
            files.publish(files.temporary_name(path), path)


def read_texts(text: Path, length: Path) -> Iterator[tuple[native.Batch, np.ndarray]]:
    """All documents in order, in blocks of about 4 MB, with the bytes of each, int64. UserError when the two files do
    not go together, or a document is no UTF-8."""
    lengths = np.fromfile(length, "<u4").astype(np.int64)
    ends = np.cumsum(lengths)
    size = text.stat().st_size
    if (ends[-1] if len(ends) else 0) != size:
        raise record.damaged(text, f"{size} bytes, but its documents have {lengths.sum()}")
    first = begin = 0
    with text.open("rb") as stream:
        while first < len(ends):
            last = max(first + 1, int(np.searchsorted(ends, begin + _BLOCK_BYTES, side="right")))
            end = int(ends[last - 1])
            try:
                batch = native.batch(stream.read(end - begin), lengths[first:last])
            except ValueError as error:
                raise record.damaged(text, str(error)) from None
            yield batch, lengths[first:last]
            first, begin = last, end


def read_text(text: Path, length: Path, number: int) -> bytes:
    """Document `number` alone."""
    lengths = np.fromfile(length, "<u4", number + 1)
    with text.open("rb") as stream:
        stream.seek(int(lengths[:-1].sum(dtype=np.int64)))
        return stream.read(int(lengths[-1]))
