"""Compressed blocks to plain ones: gzip, bzip2, xz and zstandard, of any number of members, with bounded memory.

Not the classes of gzip, bz2 and lzma: those give nothing of the last megabyte before the place where a file is damaged.
All raise EOFError for a member without end, or what their library raises for a damaged one.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator

_BLOCK = 1 << 20
_PACKED_BLOCK = 1 << 16
_NO_END = "compressed file ended before the end-of-stream marker"
FAULTS = (EOFError, zlib.error, lzma.LZMAError)


def unpacked(packed: Iterator[bytes], compression: str) -> Iterator[bytes]:
    """The plain blocks of packed ones; compression: ".gz", ".bz2", ".xz", ".zst", or "" for what is not packed."""
    if not compression:
        yield from packed
        return
    parts = (block[k : k + _PACKED_BLOCK] for block in packed for k in range(0, len(block), _PACKED_BLOCK))
    yield from _UNPACKERS[compression](parts)


def _gz(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Null bytes between members are passed over."""
    unpacker, first = None, True
    for part in parts:
        block = part if first or unpacker else part.lstrip(b"\0")
        while block:
            unpacker, first = unpacker or zlib.decompressobj(31), False
            if out := unpacker.decompress(block, _BLOCK):
                yield out
            block = unpacker.unconsumed_tail
            if unpacker.eof:
                block, unpacker = unpacker.unused_data.lstrip(b"\0"), None
    if unpacker is not None:
        if out := unpacker.flush():
            yield out
        if not unpacker.eof:
            raise EOFError(_NO_END)


def _whole_streams(
    new: Callable[[], lzma.LZMADecompressor | bz2.BZ2Decompressor],
) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    def unpack(parts: Iterator[bytes]) -> Iterator[bytes]:
        """Null bytes between streams are passed over."""
        unpacker, first = None, True
        for part in parts:
            block = part if first or unpacker else part.lstrip(b"\0")
            while block or (unpacker and not unpacker.needs_input):
                unpacker, first = unpacker or new(), False
                if out := unpacker.decompress(block, _BLOCK):
                    yield out
                block = b""
                if unpacker.eof:
                    block, unpacker = unpacker.unused_data.lstrip(b"\0"), None
        if unpacker is not None:
            raise EOFError(_NO_END)

    return unpack


def _zst(parts: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard

    decompressor = zstandard.ZstdDecompressor()
    frame = None
    try:
        for part in parts:
            block = part
            while block:
                frame = frame or decompressor.decompressobj()
                if out := frame.decompress(block):
                    yield out
                block = b""
                if frame.eof:
                    block, frame = frame.unused_data, None
    except zstandard.ZstdError as error:
        raise EOFError(str(error)) from None
    if frame is not None:
        raise EOFError("compressed file ended before the end of its last frame")


_UNPACKERS: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    ".gz": _gz,
    ".bz2": _whole_streams(bz2.BZ2Decompressor),
    ".xz": _whole_streams(lzma.LZMADecompressor),
    ".zst": _zst,
}
COMPRESSIONS = tuple(_UNPACKERS)
