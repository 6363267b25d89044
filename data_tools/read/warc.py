"""Web archives (ISO 28500): one document per record of text, as in Common Crawl's WET files, or per page.

warcio and FastWARC read what was written by the rules; of 31 kinds of records as they are met they lose or spoil the
text, or end, in 16 and 15 (docs/corpus.md). So records are found here: by their length where what follows
bears it out, else by the next record's first line.
"""

import re
from collections import Counter
from collections.abc import Iterator

from . import http_message, pages
from .encoding import Decoder
from .lines import too_long
from .records import DamagedError, Piece, ReadOptions, Reject
from .streams import blocks, reading

_PAGES = ("conversion", "resource", "response")
_ABOUT_THE_FILE = ("warcinfo", "")
_WRONG_LENGTH = "records with a wrong Content-Length"
_LONGEST_HEADER = 1 << 16
_RECORD = re.compile(rb"(?:\r?\n)+(?=WARC/[0-9.]+\r?\n)")
_PROPER_END = re.compile(rb"\r?\n\r?\n|\r?\n(?=WARC/)|(?=WARC/)|(?:\r?\n)?\Z")
_LONGEST_MARK = 64
_MOST_READ_AGAIN = 1 << 32


def texts(piece: Piece, options: ReadOptions, reject: Reject, converted: Counter[str]) -> Iterator[str]:
    """Texts of the records; a record's number counts all records of the file. Kinds that hold no page (request,
    metadata, revisit, ...) are counted: one rejected line 0 says how many."""
    decode = Decoder(options.encoding, list, converted)
    passed: Counter[str] = Counter()
    with reading(piece.path):
        for number, head, content in _records(piece, options, reject, converted):
            kind = head.get("warc-type", "").lower()
            if kind not in _PAGES:
                passed[kind] += kind not in _ABOUT_THE_FILE
                continue
            if isinstance(content, int):
                reject(number, too_long(content, options))
                continue
            content_type, body = head.get("content-type", "").lower(), content
            if content_type.startswith("application/http"):
                try:
                    content_type, body = http_message.response(content, options.max_document_bytes)
                except http_message.BodyError as error:
                    reject(number, str(error))
                    continue
            text, reason = pages.text_of(content_type, body, decode, options)
            if reason:
                reject(number, reason.replace("of the line", "of the record"))
            else:
                yield text
    if passed := +passed:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(passed.items()))
        reject(0, f"records that hold no page were passed over: {counts}")


def _records(
    piece: Piece, options: ReadOptions, reject: Reject, converted: Counter[str]
) -> Iterator[tuple[int, dict[str, str], bytes | int]]:
    """(number, header, content; its length when it is longer than a document may be)."""
    stream = _Stream(blocks(piece.path))
    number = 0
    while line := stream.line():
        if not line.strip():
            continue
        number += 1
        if not line.startswith(b"WARC/"):
            reject(number, "no record begins here; passed over up to the next one")
            while line and not line.startswith(b"WARC/"):
                line = stream.line()
            if not line:
                return
            number += 1
        head = _head(stream)
        length = head.get("content-length", "")
        size = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else -1
        limit = options.max_document_bytes
        if size > limit:
            if stream.skip(size) < size:
                raise EOFError(f"record {number} is cut off")
            yield number, head, size
            continue
        content = stream.read(max(size, 0))
        if size >= 0 and len(content) == size and _PROPER_END.match(stream.peek(_LONGEST_MARK)):
            yield number, head, content
        else:
            converted[_WRONG_LENGTH] += 1
            yield number, head, _by_next_record(stream, content, size, number, limit)


def _by_next_record(stream: "_Stream", content: bytes, size: int, number: int, limit: int) -> bytes | int:
    """The content where its length says something else than what follows."""
    if found := _RECORD.search(content):
        stream.back(content[found.end() :])
        return content[: found.start()]
    if len(content) < size:
        raise EOFError(f"record {number} is cut off: {len(content):,} of {size:,} bytes are there")
    rest, size, starts_line = [content], len(content), content[-1:] in (b"", b"\n")
    while line := stream.line():
        if starts_line and line.startswith(b"WARC/"):
            stream.back(line)
            break
        starts_line = line.endswith(b"\n")
        size += len(line)
        if size <= limit:
            rest.append(line)
    return b"".join(rest).rstrip(b"\r\n") if size <= limit else size


def _head(stream: "_Stream") -> dict[str, str]:
    lines: list[bytes] = []
    size = 0
    while (line := stream.line()).strip():
        size += len(line)
        if size <= _LONGEST_HEADER:
            lines.append(line)
    return http_message.headers(b"".join(lines))


class _Stream:
    """Lines and counted bytes by turns; bytes that were read can be given back."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._held = b""
        self._at = 0
        self._read_again = 0

    def line(self, limit: int = 1 << 20) -> bytes:
        """The next line with its end, at most limit bytes of it; b"" at the end."""
        out = b""
        while len(out) < limit and self._more():
            end = self._held.find(b"\n", self._at) + 1 or len(self._held)
            out += self._take(min(end - self._at, limit - len(out)))
            if out.endswith(b"\n"):
                break
        return out

    def read(self, count: int) -> bytes:
        """So many bytes; fewer at the end."""
        out = []
        while count > 0 and self._more():
            out.append(self._take(count))
            count -= len(out[-1])
        return b"".join(out)

    def skip(self, count: int) -> int:
        """Pass over so many bytes; how many there were."""
        left = count
        while left > 0 and self._more():
            left -= len(self._take(left))
        return count - left

    def peek(self, count: int) -> bytes:
        """The same as read, and they stay."""
        if len(self._held) - self._at >= count:
            return self._held[self._at : self._at + count]
        out = self.read(count)
        self._held, self._at = out + self._held[self._at :], 0
        return out

    def back(self, content: bytes) -> None:
        """What is read next. DamagedError when a file makes too much of it."""
        self._read_again += len(content)
        if self._read_again > _MOST_READ_AGAIN:
            raise DamagedError("too many records say that they are longer than they are")
        self._held, self._at = content + self._held[self._at :], 0

    def _take(self, most: int) -> bytes:
        out = self._held[self._at : self._at + most]
        self._at += len(out)
        return out

    def _more(self) -> bool:
        while self._at >= len(self._held):
            part = next(self._parts, None)
            if part is None:
                return False
            self._held, self._at = part, 0
        return True
