"""Remote files by fsspec: the same documents as here; a stream is whole or an error."""

import gzip
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import fsspec
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from taixue import UserError
from taixue.data_tools import read
from taixue.data_tools.read import filesystem

TEXTS = [f"第{number}篇文章" for number in range(3000)]
RAW = b"".join(orjson.dumps({"text": text}) + b"\n" for text in TEXTS)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(filesystem, "_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(filesystem, "_RANGE", 10_000)
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


def _texts(file: str) -> list[str]:
    return list(read.documents(read.whole(file), "text", lambda line: None))


def test_every_format(memory: Any, tmp_path: Path) -> None:
    table = pa.table({"text": TEXTS})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=500)
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), table.schema) as stream:
        stream.write_table(table)
    text = "\n".join(TEXTS).encode()
    contents = {
        "a.arrow": (tmp_path / "a.arrow").read_bytes(),
        "b.csv": b"text\n" + text,
        "c.jsonl": RAW,
        "c.jsonl.zst": zstandard.compress(RAW),
        "p.parquet": (tmp_path / "p.parquet").read_bytes(),
        "sub/part-00000": gzip.compress(RAW),
        "t.txt": text,
    }
    for name, raw in contents.items():
        memory.pipe(f"/bucket/{name}", raw)
    memory.pipe("/bucket/_SUCCESS", b"")
    found = read.find(["memory://bucket"])
    assert found.files == tuple(f"memory://bucket/{name}" for name in sorted(contents))
    assert found.left == (read.Left("memory://bucket/_SUCCESS", "a mark of Hadoop or Spark"),)
    assert all(_texts(file) == TEXTS for file in found.files)
    assert read.find(["memory://bucket/*.jsonl*"]).files == (
        "memory://bucket/c.jsonl",
        "memory://bucket/c.jsonl.zst",
    )
    for name in ("c.jsonl", "p.parquet"):
        size = len(contents[name])
        edges = [0, size // 3, size // 2, size]
        pieces = [read.Piece(f"memory://bucket/{name}", begin, end) for begin, end in pairwise(edges)]
        parts = [text for piece in pieces for text in read.documents(piece, "text", lambda line: None)]
        assert parts == TEXTS


def test_files_by_url(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(RAW)
    (file,) = read.find([f"file://{tmp_path}/*.jsonl"]).files
    assert file == f"file://{tmp_path}/a.jsonl"
    assert _texts(file) == TEXTS
    with pytest.raises(UserError, match="from this machine only"):
        read.find_files([file])


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("fault", ["error", "short", "empty"])
def test_a_read_that_fails_is_done_again(
    memory: Any, monkeypatch: pytest.MonkeyPatch, name: str, fault: str
) -> None:
    memory.pipe(f"/b/{name}", gzip.compress(RAW, 0) if name.endswith("gz") else RAW)
    whole, calls = type(memory).cat_file, 0

    def flaky(self: Any, path: str, start: int | None = None, end: int | None = None, **more: Any) -> bytes:
        nonlocal calls
        calls += 1
        if calls % 2:
            if fault == "error":
                raise TimeoutError("the connection was reset")
            return whole(self, path, start, end)[:5] if fault == "short" else b""
        return whole(self, path, start, end)

    monkeypatch.setattr(type(memory), "cat_file", flaky)
    assert _texts(f"memory://b/{name}") == TEXTS
    assert calls > 10


def test_what_goes_on_failing_is_an_error(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/b/a.jsonl", RAW)
    whole = type(memory).cat_file

    def short(self: Any, path: str, start: int | None = None, end: int | None = None, **more: Any) -> bytes:
        return whole(self, path, start, min(end or 0, 30_000))

    monkeypatch.setattr(type(memory), "cat_file", short)
    with pytest.raises(
        UserError, match=r"memory://b/a\.jsonl: cannot be read: .* bytes came where .* asked for 3 times"
    ):
        _texts("memory://b/a.jsonl")


def test_a_file_that_changes_on_the_way_is_an_error(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/b/a.jsonl", RAW)
    whole = type(memory).cat_file

    def changing(
        self: Any, path: str, start: int | None = None, end: int | None = None, **more: Any
    ) -> bytes:
        if start:
            memory.pipe("/b/a.jsonl", RAW[:-1] + b" ")
            raise ConnectionError("reset")
        return whole(self, path, start, end)

    monkeypatch.setattr(type(memory), "cat_file", changing)
    with pytest.raises(UserError, match="it was changed while it was read"):
        _texts("memory://b/a.jsonl")


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_file_that_has_shrunk_is_an_error(tmp_path: Path, name: str) -> None:
    """Also here, and of a compressed file when it ends where a member does."""
    path = tmp_path / name
    member = gzip.compress(RAW)
    path.write_bytes(member * 2 if name.endswith("gz") else RAW)
    piece = read.whole(path)
    path.write_bytes(member if name.endswith("gz") else RAW[: RAW.index(b"\n", 5000) + 1])
    with pytest.raises(UserError, match=r"when the work was cut"):
        list(read.documents(piece, "text", lambda line: None))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nosuch://bucket/*.jsonl", "Protocol not known"),
        ("simplecache::file:///tmp/x", "is no storage; legal: a path, or s3://"),
        ("memory://nothing/*.jsonl", "names no document file"),
    ],
)
def test_what_cannot_be_reached_is_said(memory: Any, url: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read.find([url])


def test_a_missing_plugin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    fsspec.filesystem("memory")
    with pytest.raises(
        UserError, match=r"s3://bucket/x\.jsonl: the plugin for s3:// is missing: Install s3fs"
    ):
        read.find(["s3://bucket/x.jsonl"])
