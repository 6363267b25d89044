"""The .ann sidecar: one row of fixed size per token of the .bin beside it, memory-mapped like the tokens.

Layout, version 1, little endian:
    0   8 bytes  magic b"TXANN\\0\\0\\0"
    8   uint32   version
    12  uint32   bytes per row
    16  uint64   rows, equal to the tokens in the .bin
    24  uint64   bytes of the JSON header that starts at byte 64
    64  JSON     {"columns": [[name, dtype], ...], "pos": [...], "entity": [...], "relation": [...], ...}: names of the
                 values in the columns, index 0 being "none"
    then zeros up to a multiple of 64, then the rows.

Columns of every sidecar:
    flags       uint8  bits as below
    pos         uint8  part of speech of the word that holds the token
    entity      uint8  type of the entity that holds the token
    connective  uint8  relation class of the discourse connective that holds the token
With dependency annotation: head int16, how many tokens away the first token of the head word is (0: the root, or out
of reach), and arc uint8, its label. With semantic roles: role1, role2, role3 uint8, the token's role for up to three
predicates of its sentence, in order.

A token belongs to the word (entity, connective) that holds all its characters; one that reaches over the edge of a
word belongs to none and is a unit of its own. So is white space; the bytes of one character are one unit. Units
partition the tokens: from one UNIT bit to the next.
The partner of a PAIR_FIRST connective is the nearest PAIR_SECOND after it with the same relation.
"""

import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import orjson

from taixue.base import UserError, files

UNIT = 1  # first token of a word, or a token that belongs to no word
STRADDLES = 2  # holds parts of several words
CLAUSE = 4  # holds the first character of a clause
SENTENCE = 8  # holds the first character of a sentence
ENTITY = 16  # first token of an entity
CONNECTIVE = 32  # first token of a connective
PAIR_FIRST = 64  # of a connective that opens a pair (因为 ... 所以 ...)
PAIR_SECOND = 128  # of a connective that closes one

BASE_COLUMNS = [("flags", "u1"), ("pos", "u1"), ("entity", "u1"), ("connective", "u1")]
HEAD_COLUMNS = [("head", "<i2"), ("arc", "u1")]
ROLE_COLUMNS = [("role1", "u1"), ("role2", "u1"), ("role3", "u1")]

_MAGIC = b"TXANN\x00\x00\x00"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQQ")
_ALIGN = 64
_REPAIR = "the file is damaged; `taixue corpus build` with the same configuration makes it again"


_LAYOUTS = [
    BASE_COLUMNS + heads + roles for heads in ([], HEAD_COLUMNS) for roles in ([], ROLE_COLUMNS)
]  # all there are: a dtype that a file could choose might hold pointers
_NAMED = ("pos", "entity", "relation", "arc", "role")


def row_dtype(schema: Mapping[str, Any]) -> np.dtype:
    """The packed dtype of a row. ValueError for columns that no sidecar has, or names that are no names."""
    columns = [tuple(column) for column in schema["columns"]]
    if columns not in _LAYOUTS:
        raise ValueError(f"unknown columns {columns!r:.200}")
    for name in _NAMED:
        values = schema.get(name, [])
        if not (
            isinstance(values, list) and len(values) <= 256 and all(isinstance(one, str) for one in values)
        ):
            raise ValueError(f"{name} is no list of at most 256 names")
    return np.dtype(columns)


class Writer:
    """Writes <prefix>.ann under a temporary name; `finish` makes it appear. Used as a context manager."""

    def __init__(self, prefix: Path, schema: Mapping[str, Any]) -> None:
        self._path = prefix.with_name(prefix.name + ".ann")
        self._dtype = row_dtype(schema)
        self._json = orjson.dumps(dict(schema))
        self._rows = 0
        self._stream = files.temporary_name(self._path).open("wb+")
        self._stream.write(self._header())

    def add(self, rows: np.ndarray) -> None:
        """Append rows in the order of the tokens: (N,) of the schema's dtype, or their bytes, uint8 (N, bytes of a
        row)."""
        assert rows.nbytes == len(rows) * self._dtype.itemsize, (rows.shape, rows.dtype, self._dtype)
        self._stream.write(rows.tobytes())
        self._rows += len(rows)

    def finish(self) -> str:
        """Publish the file; return its SHA-256 in hex."""
        self._stream.seek(0)
        self._stream.write(self._header())
        self._stream.flush()
        self._stream.seek(0)
        digest = hashlib.file_digest(self._stream, "sha256").hexdigest()
        self._stream.close()
        files.publish(files.temporary_name(self._path), self._path)
        return digest

    def discard(self) -> str:
        """Publish nothing, and remove what an earlier build left under this name; ""."""
        self._stream.close()
        for path in (files.temporary_name(self._path), self._path):
            path.unlink(missing_ok=True)
        return ""

    def _header(self) -> bytes:
        head = _HEADER.pack(_MAGIC, _VERSION, self._dtype.itemsize, self._rows, len(self._json))
        head = head.ljust(_ALIGN, b"\0") + self._json
        return head.ljust(_begin(len(self._json)), b"\0")

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        files.temporary_name(self._path).unlink(missing_ok=True)


class Reader:
    """A sidecar, memory-mapped and read-only.

    rows: (N,) structured array, one row per token. schema: the JSON header. UserError for a file that is missing,
    truncated, too long, of another version, or not of this format.
    """

    def __init__(self, prefix: Path) -> None:
        self.path = prefix.with_name(prefix.name + ".ann")
        try:
            size = self.path.stat().st_size
            with self.path.open("rb") as stream:
                head = stream.read(_HEADER.size)
                if len(head) < _HEADER.size:
                    raise UserError(f"{self.path}: truncated: {size} bytes; {_REPAIR}")
                magic, version, row, rows, length = _HEADER.unpack(head)
                if magic != _MAGIC or version != _VERSION:
                    raise UserError(
                        f"{self.path}: not an annotation sidecar of version {_VERSION} "
                        f"(magic {magic!r}, version {version})"
                    )
                if size != _begin(length) + rows * row:
                    raise UserError(
                        f"{self.path}: {size} bytes, but its header announces {_begin(length) + rows * row}: {_REPAIR}"
                    )
                stream.seek(_ALIGN)
                self.schema: dict[str, Any] = orjson.loads(stream.read(length))
                if not isinstance(self.schema, dict):
                    raise ValueError(f"a JSON object is expected, not {type(self.schema).__name__}")
            dtype = row_dtype(self.schema)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{self.path}: its header cannot be read ({error}): {_REPAIR}") from None
        if dtype.itemsize != row:
            raise UserError(f"{self.path}: rows of {row} bytes, its columns make {dtype.itemsize}: {_REPAIR}")
        self.rows: np.ndarray = (
            np.memmap(self.path, dtype, "r", _begin(length), (rows,)) if rows else np.zeros(0, dtype)
        )

    def names(self, column: str) -> list[str]:
        """Names of the values of pos, entity, relation, arc or role; the first stands for none."""
        return list(self.schema.get(column, [""]))


def _begin(length: int) -> int:
    return -(-(_ALIGN + length) // _ALIGN) * _ALIGN
