"""Formats with one document per row: .csv, .tsv, .parquet, .arrow."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taixue.base import UserError

from .find import file_format
from .lines import BYTE_ORDER_MARK, decoder, too_long
from .records import DamagedError, Field, Piece, ReadOptions, Reject, field
from .streams import lines, reading

_ROWS = 1024


def csv_texts(piece: Piece, options: ReadOptions, reject: Reject, converted: Counter[str]) -> Iterator[str]:
    """Documents of a .csv or .tsv file. A row's number is that of its last line in the file."""
    decode = decoder(piece, options, converted)
    text_field = field(options.text_field)
    number = 0

    def decoded() -> Iterator[str]:
        nonlocal number
        for number, line in enumerate(lines(piece, options.max_document_bytes), 1):
            if isinstance(line, int):
                reject(number, too_long(line, options))
                continue
            text, reason = decode(line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line)
            if reason:
                reject(number, reason)
            else:
                yield text + "\n"

    csv.field_size_limit(options.max_document_bytes)
    delimiter = "\t" if file_format(Path(piece.path)) == ".tsv" else ","
    rows = csv.reader(decoded(), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            reject(number, f"not {file_format(Path(piece.path))[1:]}: {error}")
            continue
        if not row:
            continue
        if names is None:
            names = row
            _check_columns(names, text_field)
        elif len(row) != len(names):
            reject(number, f"{len(row)} columns; the first row names {len(names)}")
        else:
            text, reason = text_field.of(dict(zip(names, row, strict=True)))
            if reason:
                reject(number, reason)
            else:
                yield text


def parquet_texts(
    piece: Piece, options: ReadOptions, reject: Reject, converted: Counter[str]
) -> Iterator[str]:
    """Documents of the row groups that start in the piece."""
    arrow = pyarrow_for(piece)
    text_field = field(options.text_field)
    with reading(Path(piece.path)):
        try:
            file = arrow.parquet.ParquetFile(piece.path)
            _check_columns(file.schema_arrow.names, text_field)
            row = 0
            for group in range(file.metadata.num_row_groups):
                described = file.metadata.row_group(group)
                if piece.begin <= _begin(described) < piece.end:
                    # Batches of a group, not the group: it may be large.
                    yield from _rows(
                        file.iter_batches(_ROWS, [group], text_field.columns), text_field, reject, row
                    )
                row += described.num_rows
        except (arrow.ArrowException, UnicodeDecodeError) as error:
            raise DamagedError(f"damaged or not parquet: {_first_line(error)}") from None


def _begin(group: Any) -> int:
    column = group.column(0)
    return min(
        at for at in (column.dictionary_page_offset, column.data_page_offset) if at is not None and at > 0
    )


def arrow_texts(piece: Piece, options: ReadOptions, reject: Reject, converted: Counter[str]) -> Iterator[str]:
    """Documents of an arrow file, in the stream format of Hugging Face's datasets or in the file format."""
    arrow = pyarrow_for(piece)
    text_field = field(options.text_field)
    with reading(Path(piece.path)):
        try:
            with arrow.memory_map(piece.path) as source:
                try:
                    stream = arrow.ipc.open_stream(source)
                    schema, batches = stream.schema, iter(stream)
                except arrow.ArrowInvalid:
                    source.seek(0)
                    file = arrow.ipc.open_file(source)
                    schema = file.schema
                    batches = (file.get_batch(k) for k in range(file.num_record_batches))
                _check_columns(schema.names, text_field)
                chosen = (batch.select(text_field.columns) for batch in batches)
                yield from _rows(chosen, text_field, reject, 0)
        except (arrow.ArrowException, UnicodeDecodeError) as error:
            raise DamagedError(f"damaged or not arrow: {_first_line(error)}") from None


def _rows(batches: Iterator[Any], text_field: Field, reject: Reject, before: int) -> Iterator[str]:
    for batch in batches:
        for begin in range(0, batch.num_rows, _ROWS):
            part = batch.slice(begin, _ROWS)
            for record in _records(part):
                before += 1
                text, reason = ("", record) if isinstance(record, str) else text_field.of(record)
                if reason:
                    reject(before, reason)
                else:
                    yield text


def _records(batch: Any) -> Iterator[dict[str, Any] | str]:
    """Rows as dictionaries; a reason in place of one that is damaged or not UTF-8.

    pyarrow checks neither when it reads: a wrong offset would end the process.
    """
    try:
        batch.validate(full=True)
        yield from batch.to_pylist()
    except ValueError:  # ArrowInvalid is one
        for number in range(batch.num_rows):
            row = batch.slice(number, 1)
            try:
                row.validate(full=True)
                yield row.to_pylist()[0]
            except ValueError as error:
                yield f"damaged or not UTF-8: {_first_line(error)}"


def _check_columns(names: list[str], text_field: Field) -> None:
    missing = [name for name in text_field.columns if name not in names]
    missing = [name for name in missing if not any(whole in names for whole in text_field.names)]
    if missing:
        shown = ", ".join(map(repr, names[:8])) or "none"
        raise DamagedError(f"no field {missing[0]!r}; its fields: {shown}")


def pyarrow_for(piece: Piece) -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"{piece.path}: the pyarrow package is missing; pip install 'taixue-pretrain[hub]'"
        ) from None
    return pyarrow


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
