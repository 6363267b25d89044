"""Whole records of small files, with all their fields: of evaluation sets."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from taixue.base import UserError

from .find import whole
from .kinds import file_format
from .records import DamagedError
from .streams import blocks, reading
from .tables import pyarrow_for
from .wide import wide_encoding

_KINDS = (".jsonl", ".json", ".txt", ".csv", ".tsv", ".parquet")
_HEAD = 1 << 13


def rows(path: Path) -> Iterator[Any]:
    """What a file of the kinds .jsonl, .json (lines, or one value: of an array its items), .txt (lines), .csv, .tsv and
    .parquet holds, row by row; UTF-8, UTF-16 or GB18030, compressed or not. UserError for any other and for damage."""
    kind = file_format(path)
    if kind not in _KINDS:
        raise UserError(f"{path}: evaluation sets are read from {', '.join(_KINDS)} files")
    try:
        if kind == ".parquet":
            yield from _parquet(path)
            return
        text = _decoded(path, b"".join(blocks(path)))
    except DamagedError as error:
        raise UserError(f"{path}: {error}") from None
    if kind == ".txt":
        yield from text.splitlines()
    elif kind in (".csv", ".tsv"):
        yield from _table(path, text, kind)
    else:
        yield from _json(path, text)


def _decoded(path: Path, content: bytes) -> str:
    wide = wide_encoding(content[:_HEAD])
    for codec in (wide,) if wide else ("utf-8-sig", "gb18030"):
        try:
            return content.decode(codec).removeprefix("\ufeff")
        except UnicodeDecodeError:
            pass
    fault = f"damaged {wide}" if wide else "neither UTF-8 nor GB18030"
    raise UserError(f"{path}: {fault}; convert it to UTF-8")


def _json(path: Path, text: str) -> Iterator[Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        for number, line in enumerate(text.split("\n"), 1):
            try:
                if line.strip():
                    yield orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise UserError(f"{path}: line {number}: not JSON: {error}") from None
        return
    yield from value if isinstance(value, list) else [value]


def _table(path: Path, text: str, kind: str) -> Iterator[dict[str, str]]:
    lines = text.splitlines(keepends=True)
    try:
        if kind == ".tsv":
            yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, restkey="")
        else:
            yield from csv.DictReader(lines, restkey="", strict=True)
    except csv.Error as error:
        raise UserError(f"{path}: not {kind[1:]}: {error}") from None


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    arrow = pyarrow_for(whole(path))
    with reading(path):
        try:
            for batch in arrow.parquet.ParquetFile(path).iter_batches():
                batch.validate(full=True)
                yield from batch.to_pylist()
        except (arrow.ArrowException, UnicodeDecodeError) as error:
            raise DamagedError(f"damaged or not parquet: {error}") from None
