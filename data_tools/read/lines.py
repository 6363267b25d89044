"""Formats with one document per line: .txt and .jsonl."""

from collections import Counter
from collections.abc import Callable, Iterator

import orjson

from .encoding import UTF8, Decoder
from .records import Piece, ReadOptions, Reject, field
from .streams import lines, lines_before, samples, wide_of

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def texts(piece: Piece, options: ReadOptions, reject: Reject, converted: Counter[str]) -> Iterator[str]:
    """Documents of a .txt file."""
    decode = decoder(piece, options, converted)

    def parse(line: bytes) -> tuple[str, str]:
        text, reason = decode(line)
        text = text.removesuffix("\r")
        if text.startswith("\0") and not text.strip("\0"):
            return "", "only null bytes"
        return ("", reason or "only white space") if not text or text.isspace() else (text, "")

    yield from _parsed(piece, options, _Lines(piece, options, reject, parse, decode.wide))


def json_texts(piece: Piece, options: ReadOptions, reject: Reject, converted: Counter[str]) -> Iterator[str]:
    """Documents of a .jsonl file."""
    decode = decoder(piece, options, converted)
    text_field = field(options.text_field)
    is_utf8 = decode.first == UTF8

    def parse(line: bytes) -> tuple[str, str]:
        try:
            # The parser checks UTF-8 itself; decoding comes before it only where that is not what it is.
            record = orjson.loads(line if is_utf8 else _as_utf8(line, decode))
        except orjson.JSONDecodeError as error:
            text, reason = decode(line)
            if reason:
                return "", reason
            try:
                record = orjson.loads(text)
            except orjson.JSONDecodeError:
                return "", f"not JSON: {error.msg} (column {error.colno})"
        if not isinstance(record, dict):
            return "", f"not a JSON object but {type(record).__name__}"
        return text_field.of(record)

    yield from _parsed(piece, options, _Lines(piece, options, reject, parse, decode.wide))


def _as_utf8(line: bytes, decode: Decoder) -> bytes:
    text, reason = decode(line)
    return b"" if reason else text.encode()


def decoder(piece: Piece, options: ReadOptions, converted: Counter[str]) -> Decoder:
    """The decoder of a file's lines; what it takes the file's encoding to be does not depend on the piece."""
    wide = wide_of(piece.path, options.encoding)
    return Decoder(options.encoding, lambda: samples(piece.path), converted, wide)


def _parsed(piece: Piece, options: ReadOptions, judge: "_Lines") -> Iterator[str]:
    for index, line in enumerate(lines(piece, options.max_document_bytes, judge.wide)):
        if text := judge.text(index, line):
            yield text


class _Lines:
    """Judges the lines of a piece one by one. wide: of the file (wide.py)."""

    def __init__(
        self,
        piece: Piece,
        options: ReadOptions,
        reject: Reject,
        parse: Callable[[bytes], tuple[str, str]],
        wide: str,
    ) -> None:
        self._piece, self._options, self._reject, self._parse = piece, options, reject, parse
        self._before = 0 if piece.begin == 0 else -1  # counted when a number is asked for
        self.wide = wide

    def text(self, index: int, line: bytes | int) -> str:
        """The document in line `index` of the piece, or "" where there is none."""
        piece, options = self._piece, self._options
        if isinstance(line, int):
            text, reason = "", too_long(line, options)
        else:
            if index == 0 and piece.begin == 0:
                line = line.removeprefix(BYTE_ORDER_MARK)
            if not line or line.isspace():
                return ""
            text, reason = self._parse(line)
        if reason:
            self._before = lines_before(piece, self.wide) if self._before < 0 else self._before
            self._reject(self._before + index + 1, reason)
        return text


def too_long(size: int, options: ReadOptions) -> str:
    """Why a document of so many bytes was not read."""
    return f"{size:,} bytes long; max_document_bytes is {options.max_document_bytes:,}"
