"""Columnar formats with one document per row: .parquet, .arrow."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from taixue.base import UserError

from .delimited import check_columns
from .filesystem import is_remote, open_file
from .records import DamagedError, Field, Piece, ReadOptions, Reject, field
from .streams import reading

_ROWS = 1024


def parquet_texts(
    piece: Piece, options: ReadOptions, reject: Reject, converted: Counter[str]
) -> Iterator[str]:
    """Documents of the row groups that start in the piece."""
    arrow = pyarrow_for(piece)
    text_field = field(options.text_field)
    with reading(piece.path):
        try:
            file = arrow.parquet.ParquetFile(_file(arrow, piece.path, str))
            check_columns(file.schema_arrow.names, text_field)
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
    with reading(piece.path):
        try:
            with _file(arrow, piece.path, arrow.memory_map) as source:
                try:
                    stream = arrow.ipc.open_stream(source)
                    schema, batches = stream.schema, iter(stream)
                except arrow.ArrowInvalid:
                    source.seek(0)
                    file = arrow.ipc.open_file(source)
                    schema = file.schema
                    batches = (file.get_batch(k) for k in range(file.num_record_batches))
                check_columns(schema.names, text_field)
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


def _file(arrow: Any, path: str, local: Callable[[str], Any]) -> Any:
    """What pyarrow takes for a file."""
    return arrow.PythonFile(open_file(path), "r") if is_remote(path) else local(path)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
