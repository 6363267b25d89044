"""Every file that an input names is read, or named with the reason why not."""

import bz2
import gzip
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from taixue import UserError
from taixue.data_tools import read

LINES = b'{"text": "one"}\n{"text": "two"}\n'


def _texts(path: str | Path) -> list[str]:
    return list(read.documents(read.whole(path), "text", lambda line: None))


def test_endings_in_any_form(tmp_path: Path) -> None:
    contents = {
        "a.JSONL": LINES,
        "b.ndjson": LINES,
        "c.jsonl.bz2": bz2.compress(LINES[:16]) + bz2.compress(LINES[16:]),
        "d.Jsonl.GZ": gzip.compress(LINES),
        "e.jsonlines.zstd": zstandard.compress(LINES),
    }
    for name, raw in contents.items():
        (tmp_path / name).write_bytes(raw)
    found = read.find([str(tmp_path)])
    assert [Path(file).name for file in found.files] == sorted(contents)
    assert found.left == ()
    assert all(_texts(file) == ["one", "two"] for file in found.files)
    (tmp_path / "c.jsonl.bz2").write_bytes(bz2.compress(LINES)[:-5])
    with pytest.raises(UserError, match="truncated or damaged"):
        _texts(tmp_path / "c.jsonl.bz2")


def test_files_without_ending_are_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "part-00000").write_bytes(LINES)
    (tmp_path / "part-00001").write_bytes(b"one\ntwo\n")
    (tmp_path / "part-00002").write_bytes(gzip.compress(LINES))
    (tmp_path / "part-00003.bz2").write_bytes(bz2.compress(b"one\ntwo\n"))
    (tmp_path / "000000_0").write_bytes(LINES)
    pq.write_table(pa.table({"text": ["one", "two"]}), tmp_path / "part-00004")
    found = read.find([str(tmp_path)])
    assert len(found.files) == 6
    assert all(_texts(file) == ["one", "two"] for file in found.files)
    assert _texts(tmp_path / "part-00001") == ["one", "two"]


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    names = [
        "_SUCCESS",
        ".hidden.jsonl",
        "README",
        "a.pdf",
        "b.tar.gz",
        "c.parquet.gz",
        "dataset_info.json",
        "blob",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"\0\1" if name == "blob" else b"words\n")
    for folder in (".git", "_temporary", "sub"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jsonl").write_bytes(LINES)
    found = read.find([str(tmp_path)])
    assert found.files == (str(tmp_path / "sub" / "a.jsonl"),)
    reasons = {Path(left.path).name: left.reason for left in found.left}
    assert sorted(reasons) == sorted([*names, ".git", "_temporary"])
    assert reasons["a.pdf"] == "the ending .pdf is not read"
    assert reasons["README"].startswith("no ending, and text")
    assert reasons["blob"] == "no ending, and no text"
    assert reasons["_SUCCESS"] == "a mark of Hadoop or Spark"
    (tmp_path / "z.jsonl").write_bytes(LINES)
    by_pattern = read.find([str(tmp_path / "*"), str(tmp_path / "sub")])
    assert {Path(left.path).name for left in by_pattern.left} >= {"README", "a.pdf"}
    assert "sub" not in {Path(left.path).name for left in by_pattern.left}
    with pytest.raises(UserError, match=r"names no document file.*not read: the ending \.pdf"):
        read.find([str(tmp_path / "*.pdf")])
    with pytest.raises(UserError, match="unknown kind of file"):
        read.find([str(tmp_path / "a.pdf")])
    assert read.find([str(tmp_path / "README")]).files  # named by itself


def test_orjson_lines_longer_than_the_look(tmp_path: Path) -> None:
    path = tmp_path / "part-0"
    path.write_bytes(orjson.dumps({"text": "x" * 200_000}) + b"\n")
    assert _texts(path) == ["x" * 200_000]
