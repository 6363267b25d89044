"""The C++ code gives what its plain Python twins give, for any text."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue.data_tools import native
from taixue.data_tools.native import NormalizeRules

from .conftest import plain
from .texts import pieces, provoking, texts


def both(function: Callable[[], Any]) -> tuple[Any, Any]:
    ours = function()
    with plain():
        return ours, function()


def equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, tuple):
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    if isinstance(ours, np.ndarray):
        return ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tolist() == theirs.tolist()
    return bool(ours == theirs)


def same(function: Callable[[], Any]) -> None:
    ours, theirs = both(function)
    assert equal(ours, theirs), f"\nC++   {ours!r}\nPython {theirs!r}"


rules = st.builds(
    NormalizeRules,
    nfkc=st.booleans(),
    keep_fullwidth_punctuation=st.booleans(),
    keep=st.sampled_from(["", "①", "Ａ1"]),
    control=st.booleans(),
    whitespace=st.booleans(),
    html=st.booleans(),
)


@given(texts, rules)
@settings(max_examples=300, deadline=None)
def test_normalize(texts: list[str], rules: NormalizeRules) -> None:
    same(lambda: native.normalize(texts, rules))


@given(texts, st.sampled_from([1, 2, 13]))
@settings(max_examples=300, deadline=None)
def test_text_stats(texts: list[str], ngram: int) -> None:
    same(lambda: native.text_stats(texts, ngram))


@given(texts)
@settings(max_examples=200, deadline=None)
def test_hashes(texts: list[str]) -> None:
    same(lambda: native.exact_hash(texts))
    same(lambda: native.paragraph_hashes(texts))


@given(
    texts, st.integers(1, 7), st.sampled_from([(112, 14), (6, 3), (20, 20), (16, 1)]), st.integers(0, 2**40)
)
@settings(max_examples=200, deadline=None)
def test_minhash(texts: list[str], ngram: int, shape: tuple[int, int], seed: int) -> None:
    same(lambda: native.minhash_bands(texts, ngram, *shape, seed))


@given(texts, st.sets(st.sampled_from(list(native.PERSONAL))))
@settings(max_examples=300, deadline=None)
def test_mask_personal(texts: list[str], kinds: set[str]) -> None:
    same(lambda: native.mask_personal(texts, sorted(kinds)))
    same(lambda: native.mask_personal(texts))


@given(texts)
@settings(max_examples=300, deadline=None)
def test_segment(texts: list[str]) -> None:
    same(lambda: native.segment(texts))
    for ends in native.segment(texts):
        for text, row in zip(texts, ends.rows(), strict=True):
            assert row.tolist() == sorted({*row.tolist()} - {0})
            assert (row[-1] if text else 0) == len(text)


words = st.lists(st.text("ab中国人。", min_size=1, max_size=4) | pieces, max_size=30)


@given(words, texts, st.integers(0, 99))
@settings(max_examples=300, deadline=None)
def test_keywords(words: list[str], texts: list[str], seed: int) -> None:
    edges = np.random.default_rng(seed).random(sum(map(len, texts)) + len(texts)) < 0.7

    def found() -> Any:
        matcher = native.KeywordMatcher(words)
        return (
            matcher.find_all(texts),
            matcher.longest(texts),
            matcher.longest(texts, edges),
            matcher.counts(texts),
        )

    same(found)


def test_keywords_from_edge_to_edge() -> None:
    """A longer word that ends inside a word of the text does not hide the shorter one."""
    edges = np.array([1, 0, 1, 0, 0, 1], bool)  # 北京|大学生

    def found() -> Any:
        return native.KeywordMatcher(["北京大学", "北京", "京大"]).longest(["北京大学生"], edges)

    same(found)
    assert found().values.tolist() == [(0, 2, 1)]


@given(st.lists(provoking, max_size=4))
@settings(max_examples=50, deadline=None)
def test_bytes_are_as_good_as_str(texts: list[str]) -> None:
    raw = [text.encode() for text in texts]
    for function in (native.normalize, native.text_stats, native.exact_hash, native.paragraph_hashes):
        assert equal(function(texts), function(raw))
    for function in (native.minhash_bands, native.mask_personal, native.segment):
        assert equal(function(texts), function(raw))


@pytest.mark.parametrize(
    "wrong", ["\ud800", b"\xed\xa0\x80", b"\xff", b"\xe4\xb8", b"\xc0\x80", b"\xf4\x90\x80\x80"]
)
def test_what_is_no_text(wrong: str | bytes) -> None:
    for function in (native.normalize, native.exact_hash, native.segment):
        with pytest.raises(ValueError):
            function(["good", wrong])
        with plain(), pytest.raises(ValueError):
            function(["good", wrong])


@given(st.lists(provoking, max_size=5), st.data())
@settings(max_examples=100, deadline=None)
def test_batch(texts: list[str], data: st.DataObject) -> None:
    raw = [text.encode() for text in texts]
    which = np.array(data.draw(st.lists(st.integers(0, len(raw) - 1)) if raw else st.just([])), np.int64)

    def batches() -> Any:
        batch = native.batch(native.joined(texts), native.byte_counts(raw))
        chosen = batch.select(which)
        return (
            list(batch),
            [chosen[k] for k in range(len(chosen))],
            native.exact_hash(chosen),
            list(native.gather([chosen, texts, batch])),
        )

    same(batches)
    assert batches()[0] == raw
    batch = native.batch(b"".join(raw), native.byte_counts(raw))
    for function in (native.text_stats, native.joined, native.are_blank):
        same(lambda function=function: function(batch if native.is_native() else texts))
        assert equal(function(batch), function(texts))
    assert native.are_blank(texts).tolist() == [not text.strip() for text in texts]
    assert native.are_equal(batch, texts).all()
    assert native.are_equal(batch, texts[::-1]).tolist() == [
        one == other for one, other in zip(texts, texts[::-1], strict=True)
    ]
    with pytest.raises(ValueError):
        native.batch("中".encode()[:2], np.array([2]))


@given(texts, rules)
@settings(max_examples=100, deadline=None)
def test_a_batch_becomes_a_batch(texts: list[str], rules: NormalizeRules) -> None:
    def made() -> Any:
        batch = native.gather([texts])
        masked, counts = native.mask_personal(batch)
        return list(native.normalize(batch, rules)), list(masked), counts

    same(made)
    normalized, masked, counts = made()
    assert [text.decode() for text in normalized] == list(native.normalize(texts, rules))
    expected, expected_counts = native.mask_personal(texts)
    assert [text.decode() for text in masked] == list(expected)
    assert equal(counts, expected_counts)


_edges = (
    0x00,
    0x41,
    0x7F,
    0x80,
    0x8F,
    0x90,
    0x9F,
    0xA0,
    0xBF,
    0xC0,
    0xC1,
    0xC2,
    0xDF,
    0xE0,
    0xE1,
    0xEC,
    0xED,
)
_edges += (0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF)


@given(
    st.lists(
        st.sampled_from(_edges).map(lambda byte: bytes([byte])) | provoking.map(str.encode), max_size=12
    ),
    st.integers(0, 40),
)
@settings(max_examples=500, deadline=None)
def test_what_is_utf8(parts: list[bytes], ahead: int) -> None:
    content = b"a" * ahead + b"".join(parts)
    try:
        content.decode()
    except UnicodeDecodeError:
        with pytest.raises(ValueError):
            native.batch(content, np.array([len(content)]))
    else:
        assert native.batch(content, np.array([len(content)]))[0] == content


def test_vertical_and_small_forms_keep_their_width() -> None:
    forms, wide = "︐︑︒︓︔︕︖︙︵︶﹇﹈﹐﹔﹕﹖﹗﹙﹚﹛﹜", "，、。：；！？…（）［］，；：？！（）｛｝"
    texts = [f"字{forms}字", f"e\u0301{forms}"]  # the second needs the whole algorithm
    with plain():
        expected = list(native.normalize(texts))
    assert expected == list(native.normalize(texts)) == [f"字{wide}字", f"é{wide}"]
    rules = native.NormalizeRules(keep_fullwidth_punctuation=False)
    assert native.normalize(["︐﹗"], rules) == [",!"]
    assert native.normalize(["︐﹗"], native.NormalizeRules(keep="﹗")) == ["，﹗"]
