"""Bytes of plain and compressed files, in blocks and in lines, with bounded memory."""

import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .records import DamagedError, Piece

_BLOCK = 1 << 20
_PACKED_BLOCK = 1 << 16


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns the faults of file systems and decompressors into DamagedError."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise DamagedError(
            f"the file is truncated or damaged ({error}); copy it again or leave it out"
        ) from None
    except OSError as error:
        raise DamagedError(f"cannot be read: {error.strerror or error}") from None


def blocks(path: Path) -> Iterator[bytes]:
    """Decompressed content of a whole file."""
    with reading(path), path.open("rb") as stream:
        unpacked = {".gz": _gz_blocks, ".xz": _xz_blocks, ".zst": _zst_blocks}.get(path.suffix, _read)
        yield from unpacked(stream)


def lines(piece: Piece, limit: int) -> Iterator[bytes | int]:
    """Lines without their end; a line longer than limit is not kept, and its length stands for it.

    With begin > 0, the first line is the first that starts at begin or later.
    """
    yield from _split(_own_blocks(piece), limit)


def line_blocks(piece: Piece, limit: int) -> Iterator[bytes | int]:
    """The same, but lines with their ends, as many together as came together; a line longer than limit is alone.

    A line that is not kept for its length comes as that.
    """
    kept: list[bytes] = []
    size = 0
    for block in _own_blocks(piece):
        first, rest = block.find(b"\n") + 1, block.rfind(b"\n") + 1
        if first:
            size += first - 1
            if size <= limit:
                yield b"".join([*kept, block[:rest]])
            else:
                yield size
                if first < rest:
                    yield block[first:rest]
            kept, size = [], 0
        size += len(block) - rest
        if size <= limit:
            kept.append(block[rest:])
        else:
            kept.clear()
    if size:
        yield b"".join(kept) if size <= limit else size


def _own_blocks(piece: Piece) -> Iterator[bytes]:
    """Blocks of the lines of a piece, which they cut anywhere."""
    path = Path(piece.path)
    if path.suffix in (".gz", ".xz", ".zst"):
        yield from blocks(path)
        return
    with reading(path), path.open("rb") as stream:
        position = piece.begin
        if piece.begin > 0:
            # From the byte before: when that is a line end, the line at begin is ours, else our neighbour's.
            stream.seek(piece.begin - 1)
            position -= 1
            while part := stream.readline(_BLOCK):
                position += len(part)
                if part.endswith(b"\n"):
                    break
        if position >= piece.end:
            return
        for block in _read(stream):
            # The last line is the one that the byte before the piece's end is part of.
            last = block.find(b"\n", max(piece.end - 1 - position, 0)) + 1
            position += len(block)
            if last and position >= piece.end:
                yield block[:last]
                return
            yield block


def _split(parts: Iterator[bytes], limit: int) -> Iterator[bytes | int]:
    kept: list[bytes] = []
    size = 0

    def line() -> bytes | int:
        return b"".join(kept) if size <= limit else size

    for block in parts:
        first, *others = block.split(b"\n")
        size += len(first)
        if size <= limit:
            kept.append(first)
        else:
            kept.clear()
        if others:
            yield line()
            for middle in others[:-1]:
                yield middle if len(middle) <= limit else len(middle)
            kept, size = [others[-1]], len(others[-1])
    if size:
        yield line()


def lines_before(piece: Piece) -> int:
    """Lines that start before the piece, the one that reaches into it among them."""
    count, left, block = 0, piece.begin, b"\n"
    with open(piece.path, "rb") as stream:
        while left > 0 and (block := stream.read(min(_BLOCK, left))):
            count += block.count(b"\n")
            left -= len(block)
    return count + (not block.endswith(b"\n"))


def _read(stream: IO[bytes]) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


# Not the classes of gzip and lzma: those give nothing of the last megabyte before the place where a file is damaged.


def _gz_blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Decompressed blocks of one or more members, null bytes between them passed over; EOFError for one without end."""
    unpacker, first = None, True
    while block := stream.read(_PACKED_BLOCK):
        block = block if first or unpacker else block.lstrip(b"\0")
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
            raise EOFError("compressed file ended before the end-of-stream marker")


def _xz_blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Decompressed blocks of one or more streams, null bytes between them passed over; EOFError for one without end."""
    unpacker, first = None, True
    while block := stream.read(_PACKED_BLOCK):
        block = block if first or unpacker else block.lstrip(b"\0")
        while block or (unpacker and not unpacker.needs_input):
            unpacker, first = unpacker or lzma.LZMADecompressor(), False
            if out := unpacker.decompress(block, _BLOCK):
                yield out
            block = b""
            if unpacker.eof:
                block, unpacker = unpacker.unused_data.lstrip(b"\0"), None
    if unpacker is not None:
        raise EOFError("compressed file ended before the end-of-stream marker")


def _zst_blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Decompressed blocks of one or more frames; EOFError when the last frame has no end."""
    import zstandard

    decompressor = zstandard.ZstdDecompressor()
    frame = None
    try:
        while block := stream.read(_PACKED_BLOCK):
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
