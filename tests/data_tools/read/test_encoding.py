"""Encodings are decided per file and per page; only what cannot be read goes into quarantine."""

from collections import Counter
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.data_tools import read
from taixue.data_tools.config import CorpusSourceConfig
from taixue.data_tools.read import ReadOptions, encoding

SIMPLIFIED = "我们在这里写几句常用的话，用来看看文件的编码能不能被正确地认出来。"
TRADITIONAL = "我們在這裏寫幾句常用的話，用來看看文件的編碼能不能被正確地認出來。"
FRENCH = "Le café est très bon, à côté de l’hôtel où j’étais déjà allé l’été."
KOREAN = "대한민국은 동아시아의 한반도 남부에 위치한 나라이다 수도는 서울이며 국기는 태극기이다"


def _read(path: Path, **options: str) -> tuple[list[str], list[tuple[int, str]], Counter[str]]:
    rejected: list[read.Rejected] = []
    converted: Counter[str] = Counter()
    texts = list(read.documents(read.whole(path), ReadOptions(**options), rejected.append, converted))
    return texts, [(line.line, line.reason) for line in rejected], converted


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_gbk_lines_that_happen_to_be_utf8(tmp_path: Path, name: str) -> None:
    """目模 and 陆 are valid UTF-8 in GBK; the euro sign is in it as 80 or as A2 E3."""
    lines = [SIMPLIFIED, "目模", "陆", "价格 5 €", SIMPLIFIED, "短"]
    assert lines[1].encode("gbk").decode() != lines[1]
    if name == "a.jsonl":
        raw = [orjson.dumps({"text": line}).decode().encode("gb18030") for line in lines]
    else:
        raw = [line.encode("gb18030") for line in [*(["text"] if name == "a.csv" else []), *lines]]
    path = tmp_path / name
    path.write_bytes(b"\n".join(raw).replace(b"\xa2\xe3", b"\x80"))
    assert _read(path) == (lines, [], Counter({"gb18030": 6}))
    path.write_bytes(b"\n".join(raw))
    assert _read(path)[0] == lines


def test_one_bad_line_of_a_gbk_file_is_one_line(tmp_path: Path) -> None:
    lines = [SIMPLIFIED, "好", "坏", "天", SIMPLIFIED, "地"]
    raw = [line.encode("gb18030") for line in lines]
    raw[2] = b"\xff\xff"
    path = tmp_path / "a.txt"
    path.write_bytes(b"\n".join(raw))
    texts, rejected, _ = _read(path)
    assert texts == [line for line in lines if line != "坏"]
    assert rejected == [(3, "invalid gb18030 at byte 1 of the line")]


def test_big5_with_its_extensions(tmp_path: Path) -> None:
    lines = [TRADITIONAL, "裏", "碁", "嘅", "約翰‧史密斯", "５ €", "恒"]
    raw = []
    for line in lines:
        coded = b""
        for character in line:
            try:
                coded += character.encode("big5hkscs")
            except UnicodeEncodeError:
                coded += character.encode("cp950")
        raw.append(coded)
    path = tmp_path / "a.txt"
    path.write_bytes(b"\n".join(raw))
    assert _read(path) == (lines, [], Counter({"big5": 7}))


def test_traditional_text_in_gbk_and_lines_of_other_encodings(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\n".join([TRADITIONAL, "裏"]).encode("gb18030"))
    assert _read(path)[0] == [TRADITIONAL, "裏"]
    mixed = [SIMPLIFIED.encode("gbk")] * 4
    path.write_bytes(
        b"\n".join([*mixed, TRADITIONAL.encode("big5hkscs"), SIMPLIFIED.encode(), "山".encode("gbk")])
    )
    assert _read(path)[0] == [SIMPLIFIED] * 4 + [TRADITIONAL, SIMPLIFIED, "山"]


def test_windows_1252(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\n".join([FRENCH.encode("cp1252"), "été".encode("cp1252"), "déjà".encode(), b"plain"]))
    assert _read(path) == ([FRENCH, "été", "déjà", "plain"], [], Counter({"cp1252": 2}))


@pytest.mark.parametrize("codec", ["euc_kr", "shift_jis", "cp1251", "koi8-r"])
def test_what_shows_no_encoding_is_not_guessed(tmp_path: Path, codec: str) -> None:
    text = {"euc_kr": KOREAN, "shift_jis": "これは日本語の文章です。東京は日本の首都である。"}.get(
        codec, "Это русский текст для проверки кодировки"
    )
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\n" + text.encode(codec))
    assert _read(path)[0] == ["good"]
    assert _read(path, encoding=codec)[0] == ["good", text]


def test_the_middle_of_a_file_is_looked_at(tmp_path: Path) -> None:
    """A megabyte of ASCII says nothing of what follows; whichever piece is read."""
    path = tmp_path / "a.txt"
    raw = b"plain text\n" * 200_000 + b"\n".join([SIMPLIFIED.encode("gbk")] * 20_000 + ["目模".encode("gbk")])
    path.write_bytes(raw)
    piece = read.Piece(str(path), len(raw) - 4, len(raw))
    assert list(read.documents(piece, "text", lambda line: None)) == ["目模"]


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc", "Co"]), max_size=60))
@settings(max_examples=300, deadline=None)
def test_utf8_stays_utf8(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever is in a file that is valid UTF-8."""
    path = tmp_path_factory.mktemp("utf8") / "a.jsonl"
    path.write_bytes(orjson.dumps({"text": "x" + text}) + b"\n")
    assert _read(path) == (["x" + text], [], Counter())


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_lines_that_end_with_carriage_returns(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    lines = ["一", "第二行", "三", "x" * 100]
    raw = [orjson.dumps({"text": line}) if name == "a.jsonl" else line.encode() for line in lines]
    data = b"\r".join([b"text"] * (name == "a.csv") + raw) + b"\r"
    path.write_bytes(data)
    assert _read(path)[:2] == (lines, [])
    if name != "a.csv":
        for cut in range(len(data)):
            parts = [read.Piece(str(path), 0, cut), read.Piece(str(path), cut, len(data))]
            found = [list(read.documents(part, "text", lambda line: None)) for part in parts]
            assert found[0] + found[1] == lines


def test_names_of_encodings() -> None:
    for name in (
        "undefined",
        "hex",
        "rot13",
        "unicode_escape",
        "idna",
        "punycode",
        "utf-7",
        "cp037",
        "\0",
        "x" * 999,
    ):
        assert encoding.codec(name) == ""
    assert [encoding.codec(name) for name in ("GBK", "x-gbk", "GB2312", "Big5-HKSCS", "latin1", "utf8")] == [
        "gb18030",
        "gb18030",
        "gb18030",
        "big5",
        "cp1252",
        "utf-8",
    ]
    with pytest.raises(ValueError, match=r"'gb-18030' is no encoding of text; near it: gb18030"):
        CorpusSourceConfig(name="a", inputs=("x",), encoding="gb-18030")
    with pytest.raises(UserError, match="is no encoding of text"):
        encoding.Decoder("hex", list, Counter())


def test_characters_that_python_maps_otherwise() -> None:
    assert encoding.decode(b"\xa6\xd9\xa8\xbc\xfe\x59", "gb18030") == "︐ḿ龴"
    assert encoding.decode(b"\xa1\x45", "big5") == "‧"


META = '<html><head><meta charset="%s"></head><body>%s</body></html>'


@pytest.mark.parametrize(
    "label", ["undefined", "hex", "rot13", "unicode_escape", "idna", "nonsense", "utf-16"]
)
def test_a_page_may_name_anything(label: str) -> None:
    for header in ("text/html", f"text/html; charset={label}"):
        body = (META % (label, SIMPLIFIED)).encode()
        decoded, reason = encoding.Decoder("auto", list, Counter()).page(header, body)
        assert (decoded, reason) == (body.decode(), "")


@pytest.mark.parametrize("header", ["utf-8", "iso-8859-1", "gbk", "big5", "shift_jis", ""])
@pytest.mark.parametrize(
    ("meta", "codec", "text"),
    [("gb2312", "gbk", SIMPLIFIED), ("big5", "big5hkscs", TRADITIONAL), ("utf-8", "utf-8", SIMPLIFIED)],
)
def test_what_a_page_shows_beats_a_wrong_header(header: str, meta: str, codec: str, text: str) -> None:
    body = (META % (meta, text)).encode(codec)
    named = f"text/html; charset={header}" if header else "text/html"
    assert encoding.Decoder("auto", list, Counter()).page(named, body) == (META % (meta, text), "")


def test_pages_that_show_nothing_are_what_they_say() -> None:
    body = (META % ("cp1251", "Это русский текст")).encode("cp1251")
    assert encoding.of_page("text/html", body) == "cp1251"
    assert encoding.of_page("text/html; charset=koi8-r", b"<p>\xf0\xd2\xc9\xd7\xc5\xd4") == "koi8-r"
    assert encoding.of_page("text/html", "山".encode("gbk") + b'<meta charset="gbk">') == "gb18030"
    assert encoding.of_page("text/html; charset=gbk", b"\xef\xbb\xbf" + "山".encode()) == "utf-8"


def test_a_bad_byte_costs_a_page_one_mark() -> None:
    counts: Counter[str] = Counter()
    body = (META % ("gbk", SIMPLIFIED * 3 + "#" + SIMPLIFIED)).encode("gbk").replace(b"#", b"\xff")
    text, reason = encoding.Decoder("auto", list, counts).page("text/html; charset=iso-8859-1", body)
    assert (text, reason) == (META % ("gbk", SIMPLIFIED * 3 + "\ufffd" + SIMPLIFIED), "")
    assert counts == {"gb18030": 1, "bytes replaced by U+FFFD": 1}
    assert encoding.Decoder("auto", list, counts).page("text/html", b"<p>\x81\xfe\xfd\xfc" * 9)[1]
