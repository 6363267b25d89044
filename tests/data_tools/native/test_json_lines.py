"""The C++ reader of JSON lines: whatever it takes, orjson reads the same way; what it may leave, orjson judges."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue.data_tools import native

from .conftest import plain

_texts = st.text(max_size=12) | st.text('\\"/\n\x00 中😀u', max_size=12)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_records = st.dictionaries(st.sampled_from(["text", "id", "tex", "中"]) | _texts, _values, max_size=4)
_FRAGMENTS = (
    *(
        b'{"text":"',
        b'"}',
        b"\\u00e9",
        b"\\ud83d\\ude00",
        b"\\ud83d",
        b"\\udc00",
        b"\\ud800\\u0041",
        b"\\u12",
    ),
    *(
        b'"text": ',
        b'"t\\u0065xt":',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"1",
        b"-0",
        b"01",
        b"1.",
        b"1e5",
        b".5",
    ),
    *(
        b"true",
        b"nul",
        b"null",
        b'"',
        b"\\",
        b"\\n",
        b"\\x",
        b"\t",
        b"\r",
        b"\x1f",
        b"\x7f",
        b"\xff",
        b"\xed\xa0\x80",
    ),
    *("中文".encode(), b"\xe4\xb8", b" ", b"\xc2\xa0", b"9" * 30, b"\xef\xbb\xbf", b"\n"),
)
_lines = st.one_of(
    _records.map(lambda record: json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")),
    _records.map(lambda record: json.dumps(record).encode()),
    _texts.map(
        lambda text: json.dumps({"id": 1, "text": text}, ensure_ascii=False).encode("utf-8", "replace")
    ),
    st.lists(st.sampled_from(_FRAGMENTS), max_size=8).map(b"".join),
    st.lists(st.sampled_from(_FRAGMENTS), max_size=5).map(
        lambda parts: b'{"text":"' + b"".join(parts) + b'"}'
    ),
)


def _expected(line: bytes) -> str:
    """The text that a whole parser finds, "" for none."""
    try:
        record: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return ""
    text = record.get("text") if isinstance(record, dict) else None
    return text if isinstance(text, str) and text.strip() else ""


def _check(block: bytes, limit: int) -> None:
    lines = block.removesuffix(b"\n").split(b"\n") if block else []
    expected = [_expected(line) if len(line) <= limit else "" for line in lines]
    texts, others, count = native.json_texts(block, "text", limit)
    assert count == len(lines)
    found = [text.decode() for text in texts]
    for number, begin, end, place in reversed(others):
        assert block[begin:end] == lines[number]
        found.insert(place, expected[number])
    assert found == expected
    with plain():
        certain, surely_others, _ = native.json_texts(block, "text", limit)
    assert len(texts) <= len(certain)
    assert len(others) >= len(surely_others)


@given(st.lists(_lines, max_size=6), st.booleans(), st.sampled_from([12, 1 << 20]))
@settings(max_examples=500, deadline=None)
def test_agrees_with_orjson(lines: list[bytes], ended: bool, limit: int) -> None:
    _check(b"\n".join(lines) + b"\n" * ended, limit)


@given(st.lists(_texts.filter(str.strip), min_size=1, max_size=5), st.booleans())
@settings(max_examples=200, deadline=None)
def test_takes_usual_lines(texts: list[str], ascii_only: bool) -> None:
    records = [
        {"id": 7, "meta": {"tags": ["a", None, -1.5]}, "text": text, "url": "http://例"} for text in texts
    ]
    lines = [json.dumps(record, ensure_ascii=ascii_only).encode() for record in records]
    found, others, count = native.json_texts(b"\n".join(lines), "text", 1 << 20)
    assert [text.decode() for text in found] == texts
    assert (others, count) == ([], len(texts))


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
        (b'{"text":"\\ud800"}', ""),
        (b'{"text":"a"', ""),
    ],
)
def test_single_lines(line: bytes, text: str) -> None:
    _check(line, 1 << 20)
    texts, _, _ = native.json_texts(line, "text", 1 << 20)
    assert [found.decode() for found in texts] == ([text] if text else [])
