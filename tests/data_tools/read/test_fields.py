"""The field of a record that holds the document: paths, templates, null."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taixue.data_tools import read
from taixue.data_tools.read.records import Field


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({}, "no field 'meta.body'; its fields: none"),
        ({"meta": {}}, "no field 'meta.body'; its fields: meta"),
        ({"meta": 3}, "no field 'meta.body'; its fields: meta"),
        ({"meta": None}, "field 'meta.body' is null"),
        ({"meta": {"body": None}}, "field 'meta.body' is null"),
        ({"meta.body": None}, "field 'meta.body' is null"),
        ({"meta": {"body": ""}}, "field 'meta.body' is empty"),
        ({"meta": {"body": 3}}, "field 'meta.body' is not a string but int"),
        ({"meta.body": "x", "meta": None}, ""),
    ],
)
def test_why_a_record_has_no_text(record: dict[str, object], reason: str) -> None:
    assert Field("meta.body").of(record) == ("" if reason else "x", reason)


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "arrow"])
def test_a_null_row_is_called_null(tmp_path: Path, ending: str) -> None:
    table = pa.table({"id": [1, 2], "text": ["a", None]})
    path = tmp_path / f"a.{ending}"
    if ending == "jsonl":
        path.write_bytes(b'{"id": 1, "text": "a"}\n{"id": 2, "text": null}\n')
    elif ending == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_stream(str(path), table.schema) as sink:
            sink.write_table(table)
    rejected: list[read.Rejected] = []
    assert list(read.documents(read.whole(path), "text", rejected.append)) == ["a"]
    assert [(line.line, line.reason) for line in rejected] == [(2, "field 'text' is null")]


def test_escapes_in_a_template() -> None:
    """In single quotes, of a shell as of YAML, they are two characters each."""
    assert Field(r"{a}\n{b}\t{c}").of({"a": "1", "b": r"2\n", "c": "3"}) == ("1\n2\\n\t3", "")
