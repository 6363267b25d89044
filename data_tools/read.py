"""Documents out of .jsonl and .txt files, plain, .gz or .zst, in a fixed order.

A .jsonl (or .json) file holds one JSON object per line; a .txt file holds one document per line. Blank lines
are no documents. A line that cannot be used (invalid UTF-8, bad JSON, no text field, empty text) is handed to
`reject` with its file, line number and reason: it neither ends the run nor disappears.
"""

import glob
import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson

from taixue import UserError

FORMATS = (".jsonl", ".json", ".txt")
COMPRESSIONS = (".gz", ".zst")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLOCK = 1 << 20
_LEGAL = "legal endings: .jsonl, .json, .txt, each also with .gz or .zst"


@dataclass(frozen=True)
class Piece:
    """Part of an input file: the lines that start in bytes [begin, end). Compressed files are read whole."""

    path: str
    begin: int
    end: int


@dataclass(frozen=True)
class Rejected:
    """A line that is no document; numbers count from 1."""

    file: str
    line: int
    reason: str


def find_files(inputs: Iterable[str]) -> list[Path]:
    """Files named by files, folders and glob patterns: sorted, each once.

    UserError when an input names nothing, or a named file has an ending that is not understood.
    """
    found: set[Path] = set()
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            files = [file for file in path.rglob("*") if file.is_file() and _is_document_file(file)]
        elif path.is_file():
            if not _is_document_file(path):
                raise UserError(f"{path}: unknown kind of file; {_LEGAL}")
            files = [path]
        else:
            matches = [Path(name) for name in glob.glob(text, recursive=True)]
            files = [file for file in matches if file.is_file() and _is_document_file(file)]
        if not files:
            raise UserError(f"input {text!r} names no document file (working folder {os.getcwd()}); {_LEGAL}")
        found.update(files)
    return sorted(found, key=str)


def is_compressed(path: Path) -> bool:
    """Whether the file has to be read whole."""
    return path.suffix in COMPRESSIONS


def whole(path: Path) -> Piece:
    """The piece that is a whole file."""
    return Piece(str(path), 0, path.stat().st_size)


def documents(piece: Piece, text_field: str, reject: Callable[[Rejected], None]) -> Iterator[str]:
    """Texts of a piece, in file order.

    UserError when the file is truncated, damaged or unreadable, and when every one of its lines was rejected.
    """
    path = Path(piece.path)
    parse = _parse_line if _format(path) == ".txt" else _parse_json(text_field)
    good, bad = 0, 0
    first: Rejected | None = None
    numbers = _LineNumbers(piece)
    for index, line in enumerate(_lines(piece)):
        if index == 0 and piece.begin == 0:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line or line.isspace():
            continue
        text, reason = parse(line)
        if reason:
            rejected = Rejected(piece.path, numbers.of(index), reason)
            first = first or rejected
            bad += 1
            reject(rejected)
        else:
            good += 1
            yield text
    if first and not good:
        raise UserError(
            f"{path}: none of its {bad} lines is a document; the first: line {first.line}: {first.reason}"
        )


def _parse_line(line: bytes) -> tuple[str, str]:
    """(text, "") or ("", reason)."""
    if fault := _utf8_fault(line):
        return "", fault
    text = line.decode("utf-8").removesuffix("\r")
    return ("", "only white space") if text.isspace() else (text, "")


def _utf8_fault(line: bytes) -> str:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"invalid UTF-8 at byte {error.start + 1} of the line"
    return ""


def _parse_json(text_field: str) -> Callable[[bytes], tuple[str, str]]:
    def parse(line: bytes) -> tuple[str, str]:
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            return "", _utf8_fault(line) or f"not JSON: {error.msg} (column {error.colno})"
        if not isinstance(record, dict):
            return "", f"not a JSON object but {type(record).__name__}"
        text = record.get(text_field)
        if text is None:
            return "", f"no field {text_field!r}; its fields: {', '.join(sorted(record)[:8]) or 'none'}"
        if not isinstance(text, str):
            return "", f"field {text_field!r} is not a string but {type(text).__name__}"
        if not text or text.isspace():
            return "", f"field {text_field!r} is empty"
        return text, ""

    return parse


class _LineNumbers:
    """Line numbers in the file; the lines before the piece are counted only when a number is asked for."""

    def __init__(self, piece: Piece) -> None:
        self._piece = piece
        self._before: int | None = 0 if piece.begin == 0 else None

    def of(self, index: int) -> int:
        if self._before is None:
            self._before = 0
            with open(self._piece.path, "rb") as stream:
                left = self._piece.begin
                block = b""
                while left > 0 and (block := stream.read(min(_BLOCK, left))):
                    self._before += block.count(b"\n")
                    left -= len(block)
            # A line that began before the piece belongs to the piece before; _piece_lines drops its rest.
            self._before += not block.endswith(b"\n")
        return self._before + index + 1


def _lines(piece: Piece) -> Iterator[bytes]:
    """Lines without their end. With begin > 0, the first line is the first that starts at begin or later."""
    path = Path(piece.path)
    try:
        with path.open("rb") as stream:
            if path.suffix == ".gz":
                yield from _split(_read_blocks(gzip.GzipFile(fileobj=stream)))
            elif path.suffix == ".zst":
                yield from _split(_zst_blocks(stream))
            else:
                yield from _piece_lines(stream, piece)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path}: the file is truncated or damaged ({error}); copy it again or leave it out"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


def _piece_lines(stream: IO[bytes], piece: Piece) -> Iterator[bytes]:
    position = piece.begin
    if piece.begin > 0:
        # From the byte before: when that is a line end, the line at begin is ours, else our neighbour's.
        stream.seek(piece.begin - 1)
        position += len(stream.readline()) - 1
    for line in _split(_read_blocks(stream)):
        if position >= piece.end:
            return
        position += len(line) + 1
        yield line


def _split(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        yield from lines
    if rest:
        yield rest


def _read_blocks(stream: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


def _zst_blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Decompressed blocks of one or more frames; EOFError when the last frame has no end."""
    import zstandard

    decompressor = zstandard.ZstdDecompressor()
    frame = None
    try:
        for block in _read_blocks(stream):
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


def _format(path: Path) -> str:
    return path.with_suffix("").suffix if path.suffix in COMPRESSIONS else path.suffix


def _is_document_file(path: Path) -> bool:
    return _format(path) in FORMATS and not path.name.startswith(".")
