"""CSV by RFC 4180 and TSV without quotation marks; what a stray mark does stays where it is."""

import csv
import io
import lzma
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taixue.data_tools import read
from taixue.data_tools.read import ReadOptions

Found = tuple[list[str], list[tuple[int, int]], list[str]]


def _read(path: Path, raw: bytes, options: ReadOptions | str = "text") -> Found:
    """(texts, first and last lines of what was rejected, reasons)."""
    path.write_bytes(raw)
    rejected: list[read.Rejected] = []
    texts = list(read.documents(read.whole(path), options, rejected.append))
    return texts, [(one.line, one.last) for one in rejected], [one.reason for one in rejected]


def _rows(begin: int, end: int) -> list[str]:
    return [f"{number},第{number}篇,新闻" for number in range(begin, end)]


def _csv(lines: list[str]) -> bytes:
    return "\n".join(["id,text,kind", *lines, ""]).encode()


@pytest.mark.parametrize("ending", ["tsv", "tsv.xz"])
def test_tsv_knows_no_quotation_marks(tmp_path: Path, ending: str) -> None:
    texts = [f'"第{number}篇' if number % 3 else f'第"{number}"篇"' for number in range(100)]
    raw = "id\ttext\r\n" + "".join(f"{number}\t{text}\r\n" for number, text in enumerate(texts)) + "1\n\n"
    packed = lzma.compress(raw.encode()) if ending.endswith("xz") else raw.encode()
    found, spans, reasons = _read(tmp_path / f"a.{ending}", packed)
    assert found == texts
    assert (spans, reasons) == ([(102, 102)], ["1 columns; the first row names 2"])


@pytest.mark.parametrize("many", [2, 39, 500])
def test_a_quote_that_closes_many_rows_later(tmp_path: Path, many: int) -> None:
    """By luck at the end of a field, or with text behind it, or never."""
    for last in (f'{many},他说",新闻', f'{many},"好"的,新闻', f"{many},好,新闻"):
        lines = ['0,"吃货,新闻', *_rows(1, many), last, *_rows(many + 1, many + 5)]
        texts, spans, reasons = _read(tmp_path / "a.csv", _csv(lines))
        is_lucky = last.endswith('说",新闻')
        if is_lucky and many == 2:  # two lines in quotation marks are a field by all rules
            assert texts[0] == "吃货,新闻\n1,第1篇,新闻\n2,他说"
            continue
        expected = [f"第{number}篇" for number in [*range(1, many), *range(many + 1, many + 5)]]
        expected[many - 1 : many - 1] = [] if "的" in last else ['他说"' if is_lucky else "好"]
        assert texts == expected
        assert spans == [(2, 2), (many + 2, many + 2)][: 2 if "的" in last else 1]
        assert all("quotation mark" in reason or "not csv" in reason for reason in reasons)


def test_a_span_that_is_no_rows_is_rejected_as_a_span(tmp_path: Path) -> None:
    lines = [*_rows(0, 2), '2,"第一行', "第二行", "第三行", '第四行"的确,新闻', *_rows(3, 5)]
    texts, spans, reasons = _read(tmp_path / "a.csv", _csv(lines))
    assert texts == ["第0篇", "第1篇", "第3篇", "第4篇"]
    assert spans == [(4, 7)]
    assert reasons == ["""not csv: ',' expected after '"'"""]


def test_one_column_has_no_rows_to_tell_from_text(tmp_path: Path) -> None:
    raw = "text\n一\n" + '"二\n三\n' + '四"五\n六\n'
    assert _read(tmp_path / "a.csv", raw.encode())[:2] == (["一", "六"], [(3, 5)])


def test_long_fields_of_many_lines_are_documents(tmp_path: Path) -> None:
    """With commas in each line; the numbers beside them tell them from rows."""
    text = "\n".join(f"Oh, yes {number}" for number in range(300))
    raw = f'id,text\n1,a\n2,"{text}"\n3,b\n'
    assert _read(tmp_path / "a.csv", raw.encode()) == (["a", text, "b"], [], [])


def test_a_line_that_cannot_be_read_takes_its_row_with_it(tmp_path: Path) -> None:
    raw = 'id,text\n1,"一\n'.encode() + b"\xff\xfe\n" + '三"\n2,好\n'.encode()
    texts, spans, reasons = _read(tmp_path / "a.csv", raw)
    assert (texts, spans) == (["好"], [(2, 4)])
    assert "UTF-8" in reasons[0]


@given(
    st.lists(
        st.tuples(st.text('a1",中\n ', max_size=12), st.text('a1",中\n ', min_size=1, max_size=12)),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_by_the_rules_is_read(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows([("note", "text"), *rows])
    texts, spans, _ = _read(
        tmp_path / "a.csv", stream.getvalue().encode(), ReadOptions("text", "utf-8", "skip")
    )
    wanted = [text for _, text in rows if text.strip()]
    assert texts == wanted
    assert len(spans) == len(rows) - len(wanted) + (not wanted and not spans)


@given(st.lists(st.sampled_from(['"', '""', ",", "\n", "1", "中", "1,a\n", '2,"', "\r\n"]), max_size=60))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_line_is_read_or_named(tmp_path: Path, parts: list[str]) -> None:
    raw = "id,text\n" + "".join(parts)
    texts, spans, _ = _read(tmp_path / "a.csv", raw.encode(), ReadOptions("{id}{text}", "utf-8", "skip"))
    named = {line for first, last in spans for line in range(first, last + 1)}
    for number, line in enumerate(raw.split("\n"), 1):
        if "中" in line and number > 1:
            assert number in named or any("中" in text for text in texts)
