"""What kind of file a file is: by its endings, or by its content where the name has none.

Spark, Hadoop and Hive write part-00000 and 000000_0; what they hold shows in the first bytes.
"""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import orjson

from taixue.base import UserError

from . import filesystem, unpack
from .wide import wide_encoding

FORMATS = (".jsonl", ".json", ".txt", ".csv", ".tsv", ".parquet", ".arrow", ".warc", ".wet")
COMPRESSIONS = unpack.COMPRESSIONS
LEGAL = (
    "legal endings: .jsonl, .json, .ndjson, .txt, .csv, .tsv, .warc, .wet, each also with .gz, .bz2, .zst or .xz; "
    ".parquet, .arrow"
)
_ALSO = {".ndjson": ".jsonl", ".jsonlines": ".jsonl", ".feather": ".arrow", ".gzip": ".gz", ".zstd": ".zst"}
_PACKED = (".parquet", ".arrow")  # compressed inside, never around
_ARCHIVES = (".warc", ".wet")
_CUTTABLE = (".jsonl", ".json", ".txt", ".parquet")
_EXPANSION = {".gz": 3, ".bz2": 4, ".zst": 3, ".xz": 4}  # bytes of text per byte of file, estimated
_PART = "part-"
_HEAD = 1 << 16
_TEXT_BYTES = b"\t\n\f\r" + bytes(range(0x20, 0x100))
_PACKERS = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ\0": ".xz", b"\x28\xb5\x2f\xfd": ".zst"}
_BEGINNINGS = {b"PAR1": ".parquet", b"ARROW1": ".arrow", b"\xff\xff\xff\xff": ".arrow", b"WARC/": ".warc"}


class Kind(NamedTuple):
    """format: one of FORMATS; compression: around it, one of COMPRESSIONS or ""."""

    format: str
    compression: str


def kind_of(path: str | Path) -> Kind:
    """The kind of a document file. UserError when it is none, OSError when its content is asked and cannot be read."""
    kind = by_name(path)
    if kind is None and has_no_ending(path):
        kind = by_content(path)
    if kind is None:
        raise UserError(f"{path}: unknown kind of file; {LEGAL}")
    return kind


@lru_cache(maxsize=1 << 12)
def by_name(path: str | Path) -> Kind | None:
    """The kind that the endings tell, in small or capital letters."""
    *_, inner, last = ["", "", *(_ALSO.get(one, one) for one in map(str.lower, PurePosixPath(path).suffixes))]
    compression = last if last in COMPRESSIONS else ""
    kind = inner if compression else last
    return Kind(kind, compression) if kind in FORMATS and not (compression and kind in _PACKED) else None


def has_no_ending(path: str | Path) -> bool:
    """Whether only the content can tell the kind."""
    name = PurePosixPath(path)
    return not name.suffix or (name.name.startswith(_PART) and name.suffix.lower() in COMPRESSIONS)


def may_be_text(path: str | Path) -> bool:
    """Whether a file without ending that a folder holds is read when it is text: README is no document."""
    return PurePosixPath(path).name.startswith(_PART)


def by_content(path: str | Path) -> Kind | None:
    """The kind that the first bytes tell; .txt for text that is nothing else."""
    return _by_content(str(path), tuple(filesystem.facts(path)))


@lru_cache(maxsize=1 << 16)
def _by_content(path: str, facts: tuple[Any, ...]) -> Kind | None:
    with filesystem.open_file(path) as stream:
        head = stream.read(_HEAD)
    compression = next((name for mark, name in _PACKERS.items() if head.startswith(mark)), "")
    if compression:
        out = b""
        with suppress(*unpack.FAULTS, OSError):  # the end of the head is none of the file
            for block in unpack.unpacked(iter([head]), compression):
                out += block
        head = out[:_HEAD]
    if wide := wide_encoding(head):
        head = head[: len(head) // 4 * 4].decode(wide, "ignore").encode()
    kind = next((name for mark, name in _BEGINNINGS.items() if head.startswith(mark)), "")
    if compression and kind in _PACKED:
        return None
    kind = kind or (".jsonl" if _is_json(head) else ".txt" if _is_text(head) else "")
    return Kind(kind, compression) if kind else None


def _is_json(head: bytes) -> bool:
    line, end, _ = head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")
    if not line.startswith(b"{"):
        return False
    if not end and len(head) >= _HEAD // 2:
        return True  # a line that is longer than what was looked at
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return not line.isascii() and line.rstrip().endswith(b"}")  # perhaps not UTF-8


def _is_text(head: bytes) -> bool:
    return bool(head) and not head.translate(None, _TEXT_BYTES)


def file_format(path: str | Path) -> str:
    """Ending that tells the format, without that of a compression."""
    return kind_of(path).format


def holds_pages(path: str | Path) -> bool:
    """Whether the file is a web archive, whose records may be HTML."""
    return file_format(path) in _ARCHIVES


def is_compressed(path: str | Path) -> bool:
    """Whether a compression is around the file."""
    return bool(kind_of(path).compression)


def is_whole(path: str | Path) -> bool:
    """Whether the file has to be read whole: compressed, or without places where it can be cut."""
    kind = kind_of(path)
    return bool(kind.compression) or kind.format not in _CUTTABLE


def expansion(path: str | Path) -> int:
    """Bytes of text per byte of the file, estimated."""
    kind = kind_of(path)
    return 2 if kind.format == ".parquet" else _EXPANSION.get(kind.compression, 1)
