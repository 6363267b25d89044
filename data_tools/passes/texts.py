"""The cleaned text of an input shard between passes: blocks of documents, each compressed (zstd, level 1).

Block, little endian: uint32 documents D, uint64 compressed bytes; then, compressed, uint32 (D,) lengths in bytes and
the UTF-8 of all documents.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import zstandard

from .. import files

_HEADER = struct.Struct("<IQ")


class TextWriter:
    """Writes blocks under a temporary name; `finish` publishes the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = files.temporary_name(path).open("wb")
        self._compressor = zstandard.ZstdCompressor(level=1)

    def add(self, raw: Sequence[bytes]) -> None:
        """Append a block of documents."""
        lengths = np.fromiter(map(len, raw), "<u4", len(raw))
        content = self._compressor.compress(lengths.tobytes() + b"".join(raw))
        self._stream.write(_HEADER.pack(len(raw), len(content)) + content)

    def finish(self) -> None:
        self._stream.close()
        files.publish(files.temporary_name(self._path), self._path)


def read_texts(path: Path) -> Iterator[list[bytes]]:
    """The blocks of a file, in order, as UTF-8."""
    decompressor = zstandard.ZstdDecompressor()
    with path.open("rb") as stream:
        while header := stream.read(_HEADER.size):
            documents, size = _HEADER.unpack(header)
            content = decompressor.decompress(stream.read(size))
            lengths = np.frombuffer(content, "<u4", documents).astype(np.int64)
            ends = 4 * documents + np.cumsum(lengths)
            begins = ends - lengths
            yield [content[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
