"""What a build says of its inputs: encodings, files that were not read; and when it takes them for changed."""

import gzip
import os
from pathlib import Path
from typing import Any

import fsspec
import orjson
import pytest

from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig
from taixue.data_tools.report import report

from ..texts import make_texts, write_jsonl

GBK = "我们在这里写几句常用的话，用来看看文件的编码能不能被正确地认出来。"


def _build(tmp_path: Path, tokenizer: Path, inputs: str, output: str = "corpus") -> Path:
    values: dict[str, Any] = {"tokenizer": str(tokenizer), "sources": [{"name": "web", "inputs": [inputs]}]}
    return build(CorpusBuildConfig(**values, output=str(tmp_path / output), workers=1, shard_bytes=20_000))


def _shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.bin"))}


def test_encodings_and_unread_files_are_said(
    tmp_path: Path, t5_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = tmp_path / "web"
    write_jsonl(inputs / "a.jsonl", make_texts(40))
    (inputs / "b.txt").write_bytes("\n".join([GBK, "目模", "山水"]).encode("gbk"))
    for name in ("part-00000", "_SUCCESS", "notes.docx"):
        (inputs / name).write_bytes(b"one of the parts\n" if name == "part-00000" else b"")
    folder = _build(tmp_path, t5_folder, str(inputs))
    said = capsys.readouterr().out
    assert f"web: 3 lines of 1 file read as gb18030: {inputs / 'b.txt'}" in said
    assert f"web: 1 file was not read, the ending .docx is not read: {inputs / 'notes.docx'}" in said
    read = orjson.loads((folder / "flow.json").read_bytes())["steps"][0]
    assert read["documents"] == 44
    assert read["details"]["encodings"] == {
        "gb18030": {"files": 1, "lines": 3, "first": [str(inputs / "b.txt")]}
    }
    assert set(read["details"]["not_read"]) == {"a mark of Hadoop or Spark", "the ending .docx is not read"}
    (statistics,) = (folder / "stats").glob("*.clean.json")
    assert orjson.loads(statistics.read_bytes())["read"]["encodings"] == {
        str(inputs / "b.txt"): {"gb18030": 3}
    }
    report(folder, tmp_path / "report", "")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "3 lines of 1 file read as gb18030" in page
    assert "notes.docx" in page


@pytest.mark.parametrize("place", [0, 30_000])
def test_new_content_with_the_old_size_and_date_is_noticed(
    tmp_path: Path, t5_folder: Path, place: int
) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", make_texts(200))
    folder = _build(tmp_path, t5_folder, str(path))
    before, status, raw = _shards(folder), path.stat(), bytearray(path.read_bytes())
    place = raw.index("北京".encode(), place)
    raw[place : place + 6] = "上海".encode()
    path.write_bytes(raw)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    _build(tmp_path, t5_folder, str(path))
    assert _shards(folder) != before
    assert _shards(folder) == _shards(_build(tmp_path, t5_folder, str(path), "fresh"))


def test_a_remote_corpus_is_the_local_one(tmp_path: Path, t5_folder: Path) -> None:
    system = fsspec.filesystem("memory")
    texts = make_texts(120)
    for number in range(2):
        path = write_jsonl(tmp_path / "web" / f"{number}.jsonl", texts[number::2])
        system.pipe(f"/corpus/web/{number}.jsonl", path.read_bytes())
        system.pipe(f"/corpus/packed/{number}.jsonl.gz", gzip.compress(path.read_bytes()))
    try:
        local = _shards(_build(tmp_path, t5_folder, str(tmp_path / "web"), "local"))
        assert _shards(_build(tmp_path, t5_folder, "memory://corpus/web", "remote")) == local
        packed = _build(tmp_path, t5_folder, "memory://corpus/packed/*.jsonl.gz", "packed")
        assert sum(map(len, _shards(packed).values())) == sum(map(len, local.values()))
        system.pipe("/corpus/web/0.jsonl", system.cat("/corpus/web/1.jsonl"))
        assert _shards(_build(tmp_path, t5_folder, "memory://corpus/web", "remote")) != local
    finally:
        system.store.clear()
