"""Rows of .csv and .tsv files, each by its own rules.

TSV (IANA text/tab-separated-values) knows no quotation marks: a line is a row. CSV (RFC 4180) does, and a stray one
makes a field of all that follows. Where the lines behind it look like rows, they are read as rows and only the line of
the mark is rejected; else the whole span is.
"""

import csv
from collections import Counter, deque
from collections.abc import Iterator
from typing import NamedTuple

from .kinds import file_format
from .lines import BYTE_ORDER_MARK, decoder, too_long
from .records import DamagedError, Field, Piece, ReadOptions, Reject, field
from .streams import lines

_WINDOW = 64  # lines of a field that are looked at
_LEAST_ROWS = 8  # of a field that is closed properly: so many lines, and nearly all, must look like rows
_SHARE = 0.9
_SWALLOWS = "a quotation mark opens here, and rows follow before the next one"


class _Line(NamedTuple):
    number: int
    text: str
    reason: str  # why it cannot be read, or ""


def texts(piece: Piece, options: ReadOptions, reject: Reject, converted: Counter[str]) -> Iterator[str]:
    """Documents of a .csv or .tsv file, whose first row names the fields."""
    text_field = field(options.text_field)
    found = _decoded(piece, options, converted)
    if file_format(piece.path) == ".tsv":
        rows = _tsv_rows(found, reject)
    else:
        csv.field_size_limit(options.max_document_bytes)
        rows = _CsvRows(found, text_field, reject).rows()
    names: list[str] = []
    for first, last, row in rows:
        if not names:
            names = row
            check_columns(names, text_field)
        elif len(row) != len(names):
            reject(first, f"{len(row)} columns; the first row names {len(names)}", last)
        else:
            text, reason = text_field.of(dict(zip(names, row, strict=True)))
            if reason:
                reject(first, reason, last)
            else:
                yield text


def check_columns(names: list[str], text_field: Field) -> None:
    """DamagedError when a table has no such field."""
    missing = [name for name in text_field.columns if name not in names]
    missing = [name for name in missing if not any(whole in names for whole in text_field.names)]
    if missing:
        shown = ", ".join(map(repr, names[:8])) or "none"
        raise DamagedError(
            f"no field {missing[0]!r}; its fields: {shown}; text_field names the one with the text"
        )


def _decoded(piece: Piece, options: ReadOptions, converted: Counter[str]) -> Iterator[_Line]:
    decode = decoder(piece, options, converted)
    for number, line in enumerate(lines(piece, options.max_document_bytes, decode.wide), 1):
        if isinstance(line, int):
            yield _Line(number, "", too_long(line, options))
            continue
        line = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        text, reason = decode(line)
        # Of a line that cannot be read, marks and commas still say where the row ends.
        yield _Line(number, line.decode("ascii", "replace") if reason else text, reason)


def _tsv_rows(found: Iterator[_Line], reject: Reject) -> Iterator[tuple[int, int, list[str]]]:
    for line in found:
        if line.reason:
            reject(line.number, line.reason)
        elif line.text.strip("\r"):
            yield line.number, line.number, line.text.removesuffix("\r").split("\t")


class _SwallowedError(Exception):
    """The field that is being read is rows."""


class _CsvRows:
    """Rows with the numbers of their first and last lines. An iterator of lines, too: those that the parser takes."""

    def __init__(self, found: Iterator[_Line], text_field: Field, reject: Reject) -> None:
        self._found, self._reject = found, reject
        self._columns = set(text_field.columns)
        self._again: deque[_Line] = deque()
        self._row: list[_Line] = []  # its first lines
        self._last = 0
        self._fault = ""
        self._names: list[str] = []
        self._digits: list[bool] = []  # of the last row: which fields are numbers

    def rows(self) -> Iterator[tuple[int, int, list[str]]]:
        parser = csv.reader(self, strict=True)
        while True:
            self._row, self._fault = [], ""
            try:
                row = next(parser)
            except StopIteration:
                return
            except _SwallowedError:
                self._read_again(_SWALLOWS)
                continue
            except csv.Error as error:
                self._reject_span(self._fault or f"not csv: {error}")
                continue
            first = self._row[0].number
            if self._fault:
                self._reject(first, self._fault, self._last)
            elif row and self._is_swallowed(self._row[1:-1]):
                self._read_again(_SWALLOWS)
            elif row:
                if not self._names:
                    self._names = row
                elif len(row) == len(self._names):
                    self._digits = [value.isdigit() for value in row]
                yield first, self._last, row

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._found)
        self._last = line.number
        self._fault = self._fault or line.reason
        if len(self._row) <= _WINDOW:
            self._row.append(line)
            if len(self._row) == _WINDOW + 1 and self._is_swallowed(self._row[1:]):
                raise _SwallowedError
        return line.text + "\n"

    def _is_swallowed(self, inside: list[_Line]) -> bool:
        return len(inside) >= _LEAST_ROWS and self._rows_in(inside) >= _SHARE * len(inside)

    def _reject_span(self, reason: str) -> None:
        """What was taken is no row."""
        inside = self._row[1:-1]
        is_whole = self._last == self._row[-1].number  # not more lines than are looked at
        if (
            len(self._row) > 1
            and len(self._names) > 1
            and is_whole
            and self._rows_in(inside) * 2 >= len(inside)
        ):
            self._read_again(f"{reason} in line {self._last:,}" if inside else reason)
        else:
            self._reject(self._row[0].number, reason, self._last)

    def _read_again(self, reason: str) -> None:
        """All but the first line."""
        self._reject(self._row[0].number, reason)
        self._again.extendleft(reversed(self._row[1:]))

    def _rows_in(self, inside: list[_Line]) -> int:
        return sum(self._looks_like_a_row(line.text) for line in inside)

    def _looks_like_a_row(self, text: str) -> bool:
        try:
            (row,) = csv.reader([text], strict=True)
        except (csv.Error, ValueError):
            return False
        if len(row) != len(self._names) or len(row) < 2 or any('"' in value for value in row):
            return False
        others = zip(self._names, row, self._digits, strict=False)  # before the first row no digits are known
        return all(value.isdigit() == digits for name, value, digits in others if name not in self._columns)
