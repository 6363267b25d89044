"""Documents come out of every format in order; bad lines are reported, damaged files refused."""

import gzip
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.data_tools import read

TEXTS = ["第一篇。", "second, with “quotes”", "第三篇\n两行", "四"]


def _read(piece: read.Piece, field: str = "text") -> tuple[list[str], list[read.Rejected]]:
    rejected: list[read.Rejected] = []
    return list(read.documents(piece, field, rejected.append)), rejected


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json.zst", "a.txt", "a.txt.gz", "a.txt.zst"])
def test_every_format(tmp_path: Path, name: str) -> None:
    texts = [text.replace("\n", " ") for text in TEXTS] if ".txt" in name else TEXTS
    lines = [text.encode() if ".txt" in name else orjson.dumps({"text": text}) for text in texts]
    raw = b"\n".join(lines) + b"\n\n"
    if name.endswith(".gz"):
        raw = gzip.compress(raw)
    if name.endswith(".zst"):  # two frames, as `cat a.zst b.zst` makes them
        raw = zstandard.compress(raw[:20]) + zstandard.compress(raw[20:])
    path = tmp_path / name
    path.write_bytes(raw)
    assert _read(read.whole(path)) == (texts, [])


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeff一\r\n二\r\n".encode())
    assert _read(read.whole(path))[0] == ["一", "二"]


def test_bad_lines_are_reported_with_line_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        b'{"text": "good"}',
        b'{"text": "\xff\xfe"}',
        b'{"text": ',
        b"",
        b"[1, 2]",
        b'{"body": "x"}',
        b'{"text": 3}',
        b'{"text": "  "}',
        b'{"text": "\\ud800"}',
        b'{"text": "also good"}',
    ]
    path.write_bytes(b"\n".join(lines))
    texts, rejected = _read(read.whole(path))
    assert texts == ["good", "also good"]
    assert {line.file for line in rejected} == {str(path)}
    reasons = {line.line: line.reason for line in rejected}
    assert sorted(reasons) == [2, 3, 5, 6, 7, 8, 9]
    assert reasons[2] == "invalid UTF-8 at byte 11 of the line"
    assert reasons[3].startswith("not JSON: ")
    assert reasons[5] == "not a JSON object but list"
    assert reasons[6] == "no field 'text'; its fields: body"
    assert reasons[7] == "field 'text' is not a string but int"
    assert reasons[8] == "field 'text' is empty"


def test_invalid_utf8_in_txt(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\n\xe4\xb8\n\xe3\x80\x80\nend\n")
    texts, rejected = _read(read.whole(path))
    assert texts == ["good", "end"]
    assert [(line.line, line.reason) for line in rejected] == [
        (2, "invalid UTF-8 at byte 1 of the line"),
        (3, "only white space"),
    ]


def test_a_file_of_bad_lines_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\n{"content": "x"}\n{"content": "y"}\n')
    with pytest.raises(
        UserError, match=r"none of its 2 lines .* line 2: no field 'text'; its fields: content"
    ):
        _read(read.whole(path))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("cut", [1, 20])
def test_truncated_compressed_files_are_errors(tmp_path: Path, suffix: str, cut: int) -> None:
    raw = "\n".join(f"文档{number}" for number in range(5000)).encode()
    packed = gzip.compress(raw) if suffix == ".gz" else zstandard.compress(raw)
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(packed[:-cut])
    with pytest.raises(UserError, match=rf"a\.txt\{suffix}: the file is truncated or damaged"):
        _read(read.whole(path))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_files_that_are_not_compressed_are_errors(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_text("plain text")
    with pytest.raises(UserError, match="truncated or damaged"):
        _read(read.whole(path))


@given(
    lines=st.lists(st.sampled_from(["", "一", "long enough", "坏\udcff", "三四五"]), max_size=12),
    cuts=st.lists(st.integers(0, 100), max_size=4),
    last=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_pieces_partition_a_file(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], cuts: list[int], last: bool
) -> None:
    """Wherever a file is cut, every line is read once, in order, under its own number."""
    raw = "\n".join(lines).encode("utf-8", "surrogateescape") + (b"\n" if last else b"")
    path = tmp_path_factory.mktemp("cut") / "a.txt"
    path.write_bytes(raw)
    edges = sorted({0, len(raw), *(min(cut, len(raw)) for cut in cuts)})
    texts, numbers = [], []
    for begin, end in pairwise(edges):
        rejected: list[read.Rejected] = []
        try:
            texts += list(read.documents(read.Piece(str(path), begin, end), "text", rejected.append))
        except UserError:
            assert rejected  # a piece of bad lines alone is refused; its numbers still count
        numbers += [line.line for line in rejected if line.line]  # 0: there is no document in the file
    assert texts == [line for line in lines if line and "坏" not in line]
    assert numbers == [number for number, line in enumerate(lines, 1) if "坏" in line]


def test_find_files_is_sorted_and_complete(tmp_path: Path) -> None:
    names = ["b.jsonl", "a.txt", "sub/c.json.zst", "sub/.hidden.txt", "notes.md"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = read.find_files([str(tmp_path), str(tmp_path / "*.txt")])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a.txt", "b.jsonl", "sub/c.json.zst"]
    with pytest.raises(UserError, match="unknown kind of file; legal endings: "):
        read.find_files([str(tmp_path / "notes.md")])
    with pytest.raises(UserError, match="names no document file"):
        read.find_files([str(tmp_path / "*.gz")])


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'{"text":"a","text":"b"}', "b"),
        (b'{"text":1,"text":"b"}', "b"),
        (b'{"text":"a","text":1}', ""),
        (b'{"t\\u0065xt":"b"}', "b"),
        (b'{"x":{"text":"a"}}', ""),
        (b' \t{"text" : "a" }\r', "a"),
        (b'{"text":"\\u3000"}', ""),
        (b'{"text":"a"}x', ""),
        (b'{"text":"a",}', ""),
        (b'{"text":"\\ud83d\\ude00"}', "😀"),
        (b'{"text":"\\ud800"}', ""),
        (b'{"text":"a"', ""),
    ],
)
def test_lines_of_json(tmp_path: Path, line: bytes, text: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text":"first"}\n' + line)
    texts, rejected = _read(read.whole(path))
    assert texts == ["first", *[text] * bool(text)]
    assert [one.line for one in rejected] == [2] * (not text)


@pytest.mark.parametrize("together", [1, 7, 1 << 18])
def test_batches_hold_what_came_before_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    module = import_module("taixue.data_tools.read.documents")  # the package has a function of its name
    monkeypatch.setattr(module, "_CHARACTERS_TOGETHER", together)
    path = tmp_path / "a.jsonl.gz"
    raw = b"".join(orjson.dumps({"text": f"文档{number}"}) + b"\n" for number in range(100_000))
    path.write_bytes(gzip.compress(raw)[:-20])
    rejected: list[read.Rejected] = []
    options = read.ReadOptions(damaged="skip")
    batches = list(read.batches(read.whole(path), options, rejected.append))
    texts = [text for batch in batches for text in batch]
    assert texts == [f"文档{number}" for number in range(len(texts))]
    assert len(texts) > 90_000
    assert f"{len(texts)} documents came before" in rejected[-1].reason
    assert max(map(len, batches)) <= (1 if together == 1 else len(texts))
