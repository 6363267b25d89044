"""What readers take and give: pieces of files, options, rejected lines, and the field that holds the text."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol

from taixue.base import UserError

MAX_DOCUMENT_BYTES = 32 << 20


@dataclass(frozen=True)
class Piece:
    """Part of an input file: the lines (row groups in parquet) that start in bytes [begin, end)."""

    path: str
    begin: int
    end: int


@dataclass(frozen=True)
class Rejected:
    """A line, row or record that is no document; numbers count from 1, in the decompressed file.

    A span of several lines has another last one.
    """

    file: str
    line: int
    reason: str
    last: int = 0


@dataclass(frozen=True)
class ReadOptions:
    """How files are read.

    text_field: name of the field with the document; a path `meta.body` into nested objects; or a template
        `{title}\\n{body}` over several fields, in which \\n and \\t are a line end and a tab.
    encoding: a codec, or "auto": what each file shows (encoding.py).
    damaged: "stop" raises UserError for a file that is cut off, damaged or unreadable, that has no such field, or of
        which every line was rejected; "skip" reports it as a rejected line and keeps what came before.
    max_document_bytes: a longer line is rejected without being held in memory.
    main_text: of HTML pages only the main text, not menus and what else is shown.
    """

    text_field: str = "text"
    encoding: str = "auto"
    damaged: Literal["stop", "skip"] = "stop"
    max_document_bytes: int = MAX_DOCUMENT_BYTES
    main_text: bool = True


class Reject(Protocol):
    """Takes the number of a line and why it is no document; of a span of lines, the first and last numbers."""

    def __call__(self, line: int, reason: str, last: int = 0) -> None: ...


class DamagedError(Exception):
    """The rest of the file cannot be read. Its text says why."""


class Field:
    """The text of a record, from one field or several."""

    def __init__(self, spec: str) -> None:
        """UserError for a template that cannot be used."""
        self._spec = spec
        self._is_template = "{" in spec
        try:
            parts = list(string.Formatter().parse(spec)) if self._is_template else []
        except ValueError as error:
            raise UserError(f"text_field {spec!r}: {error}; legal: '{{title}}\\n{{body}}'") from None
        names = [name for _, name, _, _ in parts if name is not None]
        if any(not name or form or change for _, name, form, change in parts if name is not None):
            raise UserError(f"text_field {spec!r}: only plain names between braces: '{{title}}\\n{{body}}'")
        # In single quotes, of a shell as of YAML, \n is two characters.
        self._parts = [
            (literal.replace("\\n", "\n").replace("\\t", "\t"), name) for literal, name, _, _ in parts
        ]
        self.names = names or [spec]

    @property
    def columns(self) -> list[str]:
        """Top-level fields that are needed."""
        return list(dict.fromkeys(name.split(".")[0] for name in self.names))

    def of(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """(text, "") or ("", reason)."""
        if not self._is_template:
            return self._one(record, self._spec)
        out = []
        for literal, name in self._parts:
            out.append(literal)
            if name is not None:
                text, reason = self._one(record, name)
                if reason:
                    return "", reason
                out.append(text)
        return "".join(out), ""

    @staticmethod
    def _one(record: Mapping[str, Any], name: str) -> tuple[str, str]:
        value: Any = record
        for key in [name] if name in record else name.split("."):
            if value is None:
                break
            if not isinstance(value, Mapping) or key not in value:
                found = ", ".join(sorted(map(str, record))[:8]) or "none"
                return "", f"no field {name!r}; its fields: {found}"
            value = value[key]
        if value is None:
            return "", f"field {name!r} is null"
        if not isinstance(value, str):
            return "", f"field {name!r} is not a string but {type(value).__name__}"
        if not value or value.isspace():
            return "", f"field {name!r} is empty"
        return value, ""


@lru_cache(maxsize=64)
def field(spec: str) -> Field:
    """The field of a specification; made once."""
    return Field(spec)
