"""Content of plain and compressed files, in blocks and in lines, with bounded memory.

A line ends with a line feed; in a file in whose beginning there is none, with a carriage return. Where `wide` names an
encoding (wide.py), lines come out as UTF-8.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from . import filesystem
from .kinds import is_compressed, kind_of
from .records import DamagedError, Piece
from .unpack import FAULTS, unpacked
from .wide import after, aligned, in_utf8, line_end, wide_encoding

_BLOCK = 1 << 20
_FIRST = 1 << 13
_LONGEST_SAMPLE = 16 << 20
_SAMPLES, _SAMPLE = 16, 1 << 16  # places in a file, and bytes at each but the first
_BEYOND_ASCII = bytes(range(0x80, 0x100))


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turns the faults of file systems, storages and decompressors into DamagedError."""
    try:
        yield
    except FAULTS as error:
        raise DamagedError(
            f"the file is truncated or damaged ({error}); copy it again or leave it out"
        ) from None
    except OSError as error:
        raise DamagedError(f"cannot be read: {error.strerror or error}") from None


def blocks(path: str | Path) -> Iterator[bytes]:
    """Decompressed content of a whole file."""
    with reading(path), filesystem.open_file(path) as stream:
        yield from unpacked(filesystem.blocks(stream), kind_of(path).compression)


def wide_of(path: str | Path, encoding: str) -> str:
    """What `wide_encoding` says of a file; of one that cannot be read nothing."""
    with suppress(DamagedError), reading(path):
        if is_compressed(path):
            return wide_encoding(next(blocks(path), b"")[:_FIRST], encoding)
        with filesystem.open_file(path) as stream:
            return wide_encoding(stream.read(_FIRST), encoding)
    return ""


def lines(piece: Piece, limit: int, wide: str = "") -> Iterator[bytes | int]:
    """Lines without their end; a line longer than limit is not kept, and its length stands for it.

    With begin > 0, the first line is the first that starts at begin or later.
    """
    yield from _split(_own_blocks(piece, wide), limit)


def samples(path: str | Path) -> list[bytes]:
    """Whole lines from all over a file: its beginning, and of a file that is not compressed also other places.

    They depend on the file alone, whichever piece of it is read. What is damaged is left out.
    """
    out: list[bytes] = []
    with suppress(DamagedError):
        if is_compressed(path):
            head, size, shows = [], 0, False
            for block in _with_line_feeds(blocks(path)):
                head.append(block)
                size, shows = size + len(block), shows or not block.isascii()
                if size >= (_BLOCK if shows else _LONGEST_SAMPLE):
                    break
            return [_whole_lines(b"".join(head), size >= _BLOCK)]
        with reading(path), filesystem.open_file(path) as stream:
            size = filesystem.size(path)
            first = stream.read(_BLOCK)
            returns = _has_returns(first)
            out.append(_whole_lines(first, size > _BLOCK, returns))
            for place in range(1, _SAMPLES if size > _BLOCK else 0):
                stream.seek(size * place // _SAMPLES)
                out.append(_whole_lines(stream.read(_SAMPLE), True, returns, place > 0))
    return out


def _whole_lines(data: bytes, is_cut: bool, returns: bool = False, begins_inside: bool = False) -> bytes:
    """Without a part of a line at the end, and at the beginning; of a line that is too long, what is before a character
    that may be cut."""
    data = data.replace(b"\r", b"\n") if returns else data
    if begins_inside:
        data = data.partition(b"\n")[2]
    return data if not is_cut else data[: data.rfind(b"\n") + 1] or data.rstrip(_BEYOND_ASCII)


def _has_returns(head: bytes) -> bool:
    """Whether the lines of a file that begins so end with carriage returns."""
    return b"\n" not in head and b"\r" in head[:-1]


def _beginning(stream: IO[bytes]) -> bytes:
    """As much of a file's beginning as it takes to see a line feed."""
    head = stream.read(_FIRST)
    return head if b"\n" in head else head + stream.read(_BLOCK - _FIRST)


def _with_line_feeds(parts: Iterator[bytes], returns: bool | None = None) -> Iterator[bytes]:
    """The blocks, with every line end a line feed. returns: whether lines end with carriage returns; None: what the
    blocks begin with says."""
    if returns is None:
        head: list[bytes] = []
        size = 0
        for block in parts:
            head.append(block)
            size += len(block)
            if b"\n" in block or size >= _BLOCK:
                break
        returns = _has_returns(b"".join(head))
        if returns:
            head = [block.replace(b"\r", b"\n") for block in head]
        yield from head
    if not returns:
        yield from parts
    else:
        for block in parts:
            yield block.replace(b"\r", b"\n")


def _own_blocks(piece: Piece, wide: str) -> Iterator[bytes]:
    """Blocks of the lines of a piece, which they cut anywhere."""
    if is_compressed(piece.path):
        with reading(piece.path):
            _check_size(filesystem.size(piece.path), piece)
        content = blocks(piece.path)
        yield from _with_line_feeds(in_utf8(content, wide) if wide else content)
        return
    with reading(piece.path), filesystem.open_file(piece.path) as stream:
        if wide:
            mark = line_end(_beginning(stream), wide)
            stream.seek(_first_byte(piece, len(mark)))
            own = _cut(aligned(filesystem.blocks(stream), len(mark)), piece, mark)
            yield from _with_line_feeds(in_utf8(own, wide), mark == "\r".encode(wide))
        else:
            returns = _has_returns(_beginning(stream)) if piece.begin else None
            stream.seek(_first_byte(piece, 1))
            yield from _cut(_with_line_feeds(filesystem.blocks(stream), returns), piece, b"\n")


def _first_byte(piece: Piece, unit: int) -> int:
    """From the character before: when that is a line end, the line at begin is ours, else our neighbour's."""
    return max(_whole_units(piece.begin, unit) - unit, 0)


def _whole_units(place: int, unit: int) -> int:
    return -(-place // unit) * unit


def _cut(parts: Iterator[bytes], piece: Piece, mark: bytes) -> Iterator[bytes]:
    """The lines of a piece, out of what follows its first byte in blocks of whole marks; a mark ends a line."""
    unit = len(mark)
    position, end = _first_byte(piece, unit), _whole_units(piece.end, unit)
    is_ours = piece.begin == 0
    for block in parts:
        if not is_ours:
            begin = after(block, mark)
            if not begin:
                position += len(block)
                continue
            is_ours = True
            block, position = block[begin:], position + begin
            if position >= end:
                return
        # The last line is the one that the character before the piece's end is part of.
        last = after(block, mark, max(end - unit - position, 0))
        position += len(block)
        if last and position >= end:
            yield block[:last]
            return
        yield block
    _check_size(position, piece)


def _check_size(size: int, piece: Piece) -> None:
    if size < piece.end:
        raise DamagedError(f"it ends at byte {size:,}; it had {piece.end:,} when the work was cut")


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


def lines_before(piece: Piece, wide: str = "") -> int:
    """Lines that start before the piece, the one that reaches into it among them."""
    with reading(piece.path), filesystem.open_file(piece.path) as stream:
        mark = b"\n"
        if wide:
            mark = line_end(_beginning(stream), wide)
            stream.seek(0)
        count, left, block = 0, _whole_units(piece.begin, len(mark)), mark
        content = filesystem.blocks(stream)
        for block in aligned(content, len(mark)) if wide else _with_line_feeds(content):
            block = block[:left]
            count += _marks_in(block, mark)
            left -= len(block)
            if not left:
                break
    return count + (not block.endswith(mark))


def _marks_in(block: bytes, mark: bytes) -> int:
    """At multiples of its length."""
    if len(mark) == 1:
        return block.count(mark)
    count = place = 0
    while place := after(block, mark, place):
        count += 1
    return count
