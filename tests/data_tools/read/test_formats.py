"""Tables, web archives, old encodings and damaged input: every document comes out, everything else is named."""

import csv
import gzip
import io
import lzma
import os
from collections import Counter
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.data_tools import read
from taixue.data_tools.read import ReadOptions
from taixue.data_tools.read.encoding import guess

SIMPLIFIED = "这是一个用来试验编码的简短中文句子，里面有常用的汉字，也有标点符号。"
TRADITIONAL = "這是一個用來試驗編碼的簡短中文句子，裡面有常用的漢字，也有標點符號。"


def _read(
    path: Path, options: ReadOptions | str = "text"
) -> tuple[list[str], list[tuple[int, str]], Counter[str]]:
    rejected: list[read.Rejected] = []
    converted: Counter[str] = Counter()
    texts = list(read.documents(read.whole(path), options, rejected.append, converted))
    return texts, [(line.line, line.reason) for line in rejected], converted


def _csv(rows: list[list[str]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst"])
def test_csv(tmp_path: Path, name: str) -> None:
    texts = ["一,二\n三", 'with "quotes"', "四\t五"]
    raw = _csv([["id", "text"], *([str(k), text] for k, text in enumerate(texts))])
    pack = {".gz": gzip.compress, ".zst": zstandard.compress}
    path = tmp_path / name
    path.write_bytes(pack.get(path.suffix, bytes)(raw))
    assert _read(path)[:2] == (texts, [])


def test_bad_csv_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'id,text\n1,good\n2\n3,"a" b\n4,\n5,\xff\xfe\n6,fine\n7,"never closed\n')
    texts, rejected, _ = _read(path)
    assert texts == ["good", "fine"]
    assert [line for line, _ in rejected] == [3, 4, 5, 6, 8]
    assert rejected[0][1] == "1 columns; the first row names 2"
    assert rejected[1][1].startswith("not csv: ")
    with pytest.raises(UserError, match=r"no field 'body'; its fields: 'id', 'text'"):
        _read(path, "body")


def test_parquet_row_groups_belong_to_pieces(tmp_path: Path) -> None:
    texts = [f"第{k}篇" if k % 10 else None for k in range(100)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": range(100), "text": texts}), path, row_group_size=7)
    found, rejected, _ = _read(path)
    assert found == [text for text in texts if text]
    assert [line for line, _ in rejected] == list(range(1, 101, 10))
    size = path.stat().st_size
    parts = []
    for begin, end in ((0, size // 3), (size // 3, size // 2), (size // 2, size)):
        parts += list(read.documents(read.Piece(str(path), begin, end), "text", lambda line: None))
    assert parts == found
    with pytest.raises(UserError, match=r"a\.parquet: no field 'body'"):
        _read(path, "body")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match="damaged or not parquet"):
        _read(path)


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_arrow(tmp_path: Path, kind: str) -> None:
    table = pa.table({"meta": [{"body": "一"}, {"body": "二"}, {"body": None}]})
    path = tmp_path / "a.arrow"
    writer = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with writer(str(path), table.schema) as sink:
        sink.write_table(table, 2)
    texts, rejected, _ = _read(path, "meta.body")
    assert texts == ["一", "二"]
    assert rejected == [(3, "field 'meta.body' is null")]


def test_datasets_folder_and_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.Dataset.from_dict({"text": ["一", "二"]}).save_to_disk(str(tmp_path / "saved"))
    (path,) = read.find_files([str(tmp_path / "saved")])
    assert _read(path)[0] == ["一", "二"]
    source = tmp_path / "plain"
    source.mkdir()
    (source / "train.jsonl").write_bytes(b'{"text": "x"}\n{"text": "y"}\n')
    (path,) = read.find_files([f"hf:{source}:train"])
    assert path.suffix == ".arrow"
    assert _read(path)[0] == ["x", "y"]
    with pytest.raises(UserError, match="the dataset cannot be loaded"):
        read.find_files([f"hf:{tmp_path / 'absent'}"])


@pytest.mark.parametrize(("codec", "text"), [("gb18030", SIMPLIFIED), ("big5", TRADITIONAL)])
def test_legacy_encodings_are_found_and_converted(tmp_path: Path, codec: str, text: str) -> None:
    lines = [text, "短", "plain ascii", text]
    path = tmp_path / "a.txt"
    path.write_bytes(b"\n".join(line.encode(codec) for line in lines))
    texts, rejected, converted = _read(path)
    assert (texts, rejected, converted) == (lines, [], {codec: 3})
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps({"text": line}).decode().encode(codec) for line in lines))
    assert _read(path)[0] == lines
    # A short line belongs to what the beginning of the file is in, wherever the piece begins.
    path = tmp_path / "b.txt"
    raw = b"\n".join(line.encode(codec) for line in [text, text, "短"])
    path.write_bytes(raw)
    assert list(read.documents(read.Piece(str(path), len(raw) - 3, len(raw)), "text", lambda line: None)) == [
        "短"
    ]


def test_mixed_encodings_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(
        b"\n".join([SIMPLIFIED.encode(), SIMPLIFIED.encode("gb18030"), TRADITIONAL.encode("big5")])
    )
    assert _read(path)[0] == [SIMPLIFIED, SIMPLIFIED, TRADITIONAL]
    assert _read(path, ReadOptions(encoding="utf-8"))[1][0] == (2, "invalid UTF-8 at byte 1 of the line")


@given(st.text(alphabet=SIMPLIFIED, min_size=20, max_size=200), st.integers(0, 500))
@settings(max_examples=200, deadline=None)
def test_broken_utf8_is_not_taken_for_a_legacy_encoding(text: str, place: int) -> None:
    raw = text.encode()
    place %= len(raw)
    broken = raw[:place] + raw[place + 1 :]
    try:
        broken.decode()
    except UnicodeDecodeError:
        assert guess(broken) == ""
    assert guess(text.encode("gb18030")) == "gb18030"


def test_field_templates(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"title": "T", "meta": {"body": "B"}}\n{"title": "T"}\n')
    texts, rejected, _ = _read(path, "{title}\n{meta.body}")
    assert texts == ["T\nB"]
    assert rejected == [(2, "no field 'meta.body'; its fields: title")]
    for wrong in ("{title", "{title!r}", "{}"):
        with pytest.raises(UserError, match="text_field"):
            _read(path, wrong)


@pytest.mark.parametrize("name", ["a.txt.gz", "a.txt.xz", "a.txt.zst"])
def test_what_comes_before_damage_is_kept(tmp_path: Path, name: str) -> None:
    """Also of several members in one file, with null bytes between them; a line of any size is passed over."""
    lines = [f"文档{number} {number**7}" for number in range(20_000)]
    pack = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.compress}[Path(name).suffix]
    raw = "\n".join(lines).encode() + b"\n"
    path = tmp_path / name
    padding = b"" if name.endswith("zst") else bytes(8)
    path.write_bytes(pack(raw[: len(raw) // 2]) + padding + pack(raw[len(raw) // 2 :]) + padding)
    assert _read(path)[:2] == (lines, [])
    path.write_bytes(pack(raw)[:-1000])
    texts, rejected, _ = _read(path, ReadOptions(damaged="skip"))
    assert texts[:-1] == lines[: len(texts) - 1]
    assert len(texts) > len(lines) // 2 or name.endswith("zst")
    assert [line for line, _ in rejected] == [0]
    assert f"{len(texts)} documents came before" in rejected[0][1]
    path.write_bytes(pack(b"one\n" + bytes(20_000_000) + b"\nthree\n"))
    texts, rejected, _ = _read(path, ReadOptions(max_document_bytes=1000))
    assert texts == ["one", "three"]
    assert [line for line, _ in rejected] == [2]


@pytest.mark.parametrize("kind", ["offset", "name"])
def test_damaged_arrow(tmp_path: Path, kind: str) -> None:
    """Found by fuzzing: pyarrow follows any offset, and decodes names when they are asked for."""
    path = tmp_path / "a.arrow"
    table = pa.table({"text": ["eins", "zwei", "drei"]})
    with pa.ipc.new_stream(str(path), table.schema) as stream:
        stream.write_table(table)
    raw = path.read_bytes()
    if kind == "name":
        path.write_bytes(raw.replace(b"text", b"\xff\xff\xff\xff"))
        with pytest.raises(UserError, match="damaged or not arrow"):
            _read(path)
        return
    good = b"".join(number.to_bytes(4, "little") for number in (0, 4, 8, 12))
    assert raw.count(good) == 1
    path.write_bytes(raw.replace(good, good[:8] + b"\0\0\0\x90" + good[12:]))
    texts, rejected, _ = _read(path)
    assert texts == ["eins"]
    assert [line for line, _ in rejected] == [2, 3]


def test_nothing_in_a_file_is_said(tmp_path: Path) -> None:
    for name, raw in (("a.txt", b""), ("a.parquet", b""), ("b.txt", b" \n\n"), ("c.csv", b"id,text\n")):
        path = tmp_path / name
        path.write_bytes(raw)
        expected = "the file holds no document" if raw else "the file is empty"
        assert _read(path)[:2] == ([], [(0, expected)])


def test_null_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n" + bytes(50) + b"\na\0b\n")
    assert _read(path)[:2] == (["one", "a\0b"], [(2, "only null bytes")])


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.arrow", "a.jsonl"])
def test_a_missing_field_stops_or_is_skipped(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.csv":
        path.write_bytes(b"body\nx\n")
    elif name == "a.jsonl":
        path.write_bytes(b'{"body": "x"}\n')
    elif name == "a.parquet":
        pq.write_table(pa.table({"body": ["x"]}), path)
    else:
        with pa.ipc.new_stream(str(path), pa.schema({"body": pa.string()})):
            pass
    with pytest.raises(UserError, match=r"no field 'text'; its fields: '?body"):
        _read(path)
    texts, rejected, _ = _read(path, ReadOptions(damaged="skip"))
    assert texts == []
    assert "no field 'text'" in rejected[0][1]


def test_long_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n" + b"x" * 5_000_000 + b"\nthree\n")
    texts, rejected, _ = _read(path, ReadOptions(max_document_bytes=1_000_000))
    assert texts == ["one", "three"]
    assert rejected == [(2, "5,000,000 bytes long; max_document_bytes is 1,000,000")]


def test_links(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("x")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "b.txt").symlink_to("a.txt")
    assert [path.name for path in read.find_files([str(tmp_path / "data")])] == ["a.txt"]
    os.mkfifo(tmp_path / "data" / "pipe.txt")
    with pytest.raises(UserError, match=r"pipe\.txt: not a file but a pipe"):
        read.find_files([str(tmp_path / "data")])
    (tmp_path / "data" / "pipe.txt").unlink()
    (tmp_path / "data" / "folder.txt").mkdir()
    (tmp_path / "data" / "folder.txt" / "inside.txt").write_text("x")
    assert [path.name for path in read.find_files([str(tmp_path / "data" / "*.txt")])] == [
        "a.txt",
        "inside.txt",
    ]
    (tmp_path / "data" / "c.txt").symlink_to("c.txt")
    with pytest.raises(UserError, match=r"c\.txt: a symbolic link that leads nowhere"):
        read.find_files([str(tmp_path / "data")])


@given(
    name=st.sampled_from(
        ["a.txt", "a.jsonl", "a.csv", "a.tsv", "a.warc", "a.parquet", "a.arrow", "a.txt.gz"]
    ),
    raw=st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [b'{"text": ', b'"x"}', b"\n", b'"', b",", b"text\n", b"WARC/1.0\r\n", b"\x00", b"\xb5\xc4"]
            ),
            max_size=30,
        ).map(b"".join),
    ),
)
@example("a.warc", b"WARC/1.0\r\nContent-Length: 5\r\n\r\nab")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_input_crashes_a_reader(tmp_path: Path, name: str, raw: bytes) -> None:
    """Whatever the bytes: documents, rejected lines, or one UserError."""
    path = tmp_path / name
    path.write_bytes(raw)
    fault = ""
    try:
        texts, rejected, _ = _read(path)
    except UserError as error:
        texts, rejected, fault = [], [], str(error)
    assert not fault or str(path) in fault
    assert all(text and not text.isspace() for text in texts)
    assert all(line >= 0 and reason for line, reason in rejected)
    try:
        _read(path, ReadOptions(damaged="skip"))
    except UserError as error:
        fault = str(error)
    else:
        fault = "no field"
    assert "no field" in fault
