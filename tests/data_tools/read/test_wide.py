"""Files of UTF-16 and UTF-32, as Windows writes them, read as if they were UTF-8."""

import codecs
import gzip
from collections import Counter
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taixue import UserError
from taixue.data_tools import read
from taixue.data_tools.read import Piece, ReadOptions, streams
from taixue.data_tools.read.wide import wide_encoding
from taixue.data_tools.read.word_list import read_terms

CODECS = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
# ਊ is 0A0A, ਀ 0A00, Ā and 㐀 end in 00: a line end taken at an odd byte would cut them.
TEXTS = [
    "这是第一行，里面有常用的汉字。",
    "ਊĀਊ㐀 line \U00020087 two",
    "我们在这里说了很多话。" * 3,
    "😀 的 一 是",
    "end",
]


def _read(path: Path, options: ReadOptions | None = None) -> tuple[list[str], list[str], Counter[str]]:
    rejected: list[read.Rejected] = []
    converted: Counter[str] = Counter()
    texts = list(read.documents(read.whole(path), options or ReadOptions(), rejected.append, converted))
    return texts, [f"{line.line}: {line.reason}" for line in rejected], converted


def _marked(text: str, codec: str) -> bytes:
    return ("\ufeff" + text).encode(codec)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_text_with_a_mark(tmp_path: Path, codec: str, ending: str, packed: str) -> None:
    path = tmp_path / f"a.txt{packed}"
    content = _marked(ending.join(TEXTS) + ending, codec)
    path.write_bytes(gzip.compress(content) if packed else content)
    assert _read(path) == (TEXTS, [], Counter({codec: len(TEXTS)}))


@pytest.mark.parametrize("codec", CODECS)
def test_other_formats(tmp_path: Path, codec: str) -> None:
    formats = {
        "a.jsonl": "".join(orjson.dumps({"text": text}).decode() + "\r\n" for text in TEXTS),
        "a.tsv": "id\ttext\r\n" + "".join(f"7\t{text}\r\n" for text in TEXTS),
        "a.csv": "id,text\r\n" + "".join(f'7,"{text}"\r\n' for text in TEXTS),
        "part-00000": "".join(orjson.dumps({"text": text}).decode() + "\n" for text in TEXTS),
    }
    for name, content in formats.items():
        path = tmp_path / name
        path.write_bytes(_marked(content, codec))
        assert _read(path)[:2] == (TEXTS, []), name
        if name != "part-00000":
            assert [row["text"] for row in read.rows(path)] == TEXTS


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.data())
def test_pieces_cut_anywhere_give_each_line_once(
    codec: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines = data.draw(
        st.lists(st.text(st.sampled_from("的是aĀਊ਀㐀\U00020087"), min_size=1, max_size=5), min_size=1)
    )
    path = tmp_path_factory.getbasetemp() / f"{codec}.txt"
    content = _marked("\n".join(lines), codec)
    path.write_bytes(content)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(content)), max_size=5)) | {len(content)})
    found: list[bytes | int] = []
    for begin, end in zip([0, *cuts], cuts, strict=False):
        piece = Piece(str(path), begin, end)
        if begin:
            before = streams.lines_before(piece, codec)
            assert before >= len(found)
        found += streams.lines(piece, 1 << 20, codec)
    text = b"\n".join(line for line in found if isinstance(line, bytes)).decode()
    assert text.removeprefix("\ufeff") == "\n".join(lines)


def test_numbers_of_lines_in_later_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    half = "坏".encode("utf-16-le") + b"\x00\xd8" + "的".encode("utf-16-le")
    lines = [_marked("一", "utf-16-le"), "二".encode("utf-16-le"), half, "四".encode("utf-16-le")]
    path.write_bytes("\n".encode("utf-16-le").join(lines))
    reason = "invalid utf-16-le: half of a pair of surrogates"
    assert _read(path) == (["一", "二", "四"], [f"3: {reason}"], Counter({"utf-16-le": 3}))
    rejected: list[read.Rejected] = []
    size = path.stat().st_size
    for begin, end in ((0, 5), (5, 9), (9, size)):
        list(read.documents(Piece(str(path), begin, end), ReadOptions(), rejected.append))
    assert [(line.line, line.reason) for line in rejected] == [(3, reason)]


def test_a_file_that_ends_inside_a_character(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(_marked("一\n二\n三", "utf-16-le")[:-1])
    with pytest.raises(UserError, match=r"a\.txt: read as utf-16-le it ends inside a character"):
        _read(path)
    texts, rejected, _ = _read(path, ReadOptions(damaged="skip"))
    assert texts == ["一", "二"]
    assert rejected[0].startswith("0: read as utf-16-le it ends inside a character")


def test_without_a_mark(tmp_path: Path) -> None:
    text = "\n".join(TEXTS[:1] * 20)
    for codec in CODECS[:2]:
        assert wide_encoding(text.encode(codec)) == codec
        assert wide_encoding('{"text": "Ünïcode"}\n'.encode(codec)) == codec
    for narrow in ("utf-8", "gb18030"):
        assert not wide_encoding(text.encode(narrow))
    assert not wide_encoding(b"plain ascii, of an even number of bytes")
    assert not wide_encoding("繁體字也是一樣的，沒有什麼不同。".encode("big5"))
    assert not wide_encoding(b"\0" * 64)
    # Of what shows nothing the configuration says it.
    path = tmp_path / "a.txt"
    path.write_bytes("龘龘\n靐靐".encode("utf-16-be"))
    assert _read(path, ReadOptions(encoding="utf-16-be"))[0] == ["龘龘", "靐靐"]
    path.write_bytes("龘龘\n靐靐".encode("utf-16-le"))
    assert _read(path, ReadOptions(encoding="UTF-16"))[0] == ["龘龘", "靐靐"]
    path.write_bytes(codecs.BOM_UTF16_BE + "龘龘\n靐靐".encode("utf-16-be"))
    assert _read(path, ReadOptions(encoding="utf-16"))[0] == ["龘龘", "靐靐"]


def test_word_lists(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(_marked("# list\r\n青蒿素\t7\r\n黄芪\r\n", "utf-16-le"))
    assert read_terms(str(path)) == ["青蒿素", "黄芪"]
    path.write_bytes("青蒿素".encode("gbk"))
    with pytest.raises(UserError, match=r"not utf-8 \(byte 0\); save it as UTF-8"):
        read_terms(str(path))
