"""Files of UTF-16 and UTF-32, as Windows writes them: which they are in, where their lines end, their content as UTF-8.

A byte order mark says which. Without one a file's beginning must be in it as a whole, and nearly all of its characters
usual ones: printable ASCII or the commonest Chinese (encoding.py). Bytes of 8-bit text taken in twos never are.
"""

import codecs
from collections.abc import Iterator

from .encoding import AUTO, UTF8, codec, commonest
from .records import DamagedError

_MARKS = (
    ("utf-32-le", codecs.BOM_UTF32_LE),  # begins as the next one does
    ("utf-16-le", codecs.BOM_UTF16_LE),
    ("utf-32-be", codecs.BOM_UTF32_BE),
    ("utf-16-be", codecs.BOM_UTF16_BE),
)
_WITHOUT_MARK = ("utf-16-le", "utf-16-be")
_USUAL_SHARE = 0.5
_FEWEST = 4  # characters that show it
_ASCII = frozenset(map(chr, [9, 10, 13, *range(0x20, 0x7F)]))


def wide_encoding(head: bytes, encoding: str = AUTO) -> str:
    """What a file that begins so is in, of utf-16-le, utf-16-be, utf-32-le, utf-32-be; "" when in none of them.

    encoding: that of the configuration. Plain "utf-16" or "utf-32" without a mark is little-endian, as on Windows.
    """
    marked = next((name for name, mark in _MARKS if head.startswith(mark)), "")
    if encoding == AUTO:
        return marked or next((name for name in _WITHOUT_MARK if _shows(head, name)), "")
    name = codec(encoding)
    if not name.startswith(("utf-16", "utf-32")):
        return ""
    if name in ("utf-16", "utf-32"):
        return marked if marked.startswith(name) else f"{name}-le"
    return name


def _shows(head: bytes, name: str) -> bool:
    if b"\0" not in head and _is_utf8(head):
        return False
    try:
        text = codecs.getincrementaldecoder(name)().decode(head[: len(head) // 2 * 2])
    except UnicodeDecodeError:
        return False
    usual = commonest(text) + sum(character in _ASCII for character in text)
    return len(text) >= _FEWEST and usual >= _USUAL_SHARE * len(text)


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder(UTF8)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def line_end(head: bytes, wide: str) -> bytes:
    """The bytes of a line end in a file that begins so: of a line feed, or of a carriage return where there is none."""
    feed, returned = ("\n".encode(wide), "\r".encode(wide))
    return feed if after(head, feed) or not after(head, returned) else returned


def after(block: bytes, mark: bytes, start: int = 0) -> int:
    """The place behind the first mark at start (a multiple of its length) or later; 0 without one.

    The mark counts at multiples of its length only.
    """
    place = block.find(mark, start)
    while place % len(mark) and place >= 0:
        place = block.find(mark, place + 1)
    return place + len(mark) if place >= 0 else 0


def aligned(parts: Iterator[bytes], unit: int) -> Iterator[bytes]:
    """The same bytes, in blocks of whole units; at the end of a file that is cut off what is left."""
    rest = b""
    for part in parts:
        block = rest + part
        whole = len(block) // unit * unit
        rest = block[whole:]
        if whole:
            yield block[:whole]
    if rest:
        yield rest


def in_utf8(parts: Iterator[bytes], wide: str) -> Iterator[bytes]:
    """The blocks in UTF-8; half a pair of surrogates becomes bytes that are not, in which its line is rejected.

    DamagedError when they end inside a character.
    """
    decoder = codecs.getincrementaldecoder(wide)("surrogatepass")
    try:
        for block in parts:
            yield decoder.decode(block).encode(UTF8, "surrogatepass")
        yield decoder.decode(b"", True).encode(UTF8, "surrogatepass")
    except UnicodeDecodeError as error:
        raise DamagedError(
            f"read as {wide} it {_FAULTS.get(error.reason, error.reason)}; copy it again, or name its encoding"
        ) from None


_FAULTS = {"truncated data": "ends inside a character"}
