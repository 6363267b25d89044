"""Words: C++ and its twin agree, and both with the library that has the same dictionary."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.data_tools import native
from taixue.data_tools.annotate import Annotator, words
from taixue.data_tools.annotate.config import AnnotateConfig
from taixue.data_tools.annotate.layered_text import Characters
from taixue.data_tools.annotate.words_plain import WordCutter

_PIECES = [
    *"的一是不了在人有我他这中大来上国和地到以说时要就出会可也你对生能而子那得于着下自之",
    *"囧㐀﨎𠀀仓癌，。！？ \n\r\t\u3000+#&._%-aZ09",
    "北京大学", "结婚的和尚未结婚的", "研究生命起源", "ABC-123", "3.14%", "c#", "AT&T", "\r\n", "张量并行训练",
]  # fmt: skip


@pytest.fixture(scope="module")
def cutters() -> tuple[object, WordCutter]:
    if not native.is_native():
        pytest.skip("the C++ extension is not built")
    return words.native_cutter(), words.plain_cutter()


@given(st.lists(st.one_of(st.sampled_from(_PIECES), st.text(max_size=3)), max_size=40).map("".join))
@settings(max_examples=300, deadline=None)
def test_twins_agree(cutters: tuple[object, WordCutter], text: str) -> None:
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    if any(0xD800 <= point < 0xE000 for point in points.tolist()):
        return
    for one, other in zip(cutters[0].run(points), cutters[1].run(points), strict=True):  # type: ignore[attr-defined]
        assert np.array_equal(one, other)


def _cut(text: str) -> list[tuple[str, str]]:
    characters = Characters([text])
    starts, pos = words.words(characters)
    begins = [place for place in np.flatnonzero(starts).tolist() if 0 < place <= len(text)]
    return [
        (characters.whole[begin:end], words.TAGS[pos[begin] - 1])
        for begin, end in zip(begins, [*begins[1:], len(text) + 1], strict=True)
    ]


def test_known_sentences() -> None:
    assert _cut("我来到北京清华大学，用了ABC-123和3.14%。") == [
        ("我", "r"), ("来到", "v"), ("北京", "ns"), ("清华大学", "nt"), ("，", "x"), ("用", "p"), ("了", "ul"),
        ("ABC-123", "eng"), ("和", "c"), ("3.14%", "m"), ("。", "x"),
    ]  # fmt: skip
    assert [word for word, _ in _cut("他来到了网易杭研大厦")] == ["他", "来到", "了", "网易", "杭研", "大厦"]


def test_words_cover_texts_one_by_one() -> None:
    texts = ["一\r", "\n二", "", "北京", "大学"]
    characters = Characters(texts)
    starts, pos = words.words(characters)
    assert starts[characters.begins].all()
    assert (pos[characters.ends] == 0).all()


def test_unknown_words() -> None:
    tags = dict(_cut("赵丽颖看囧囧。①"))
    assert tags["赵丽颖"] == "nr"
    assert tags["①"] == "x"
    assert dict(_cut("张量并行训练"))["张量"] in ("n", "nr")


def test_boundaries_agree_with_rjieba() -> None:
    rjieba = pytest.importorskip("rjieba")
    from ..texts import make_texts

    same = total = 0
    for text in make_texts(100, seed=5):
        expected = set(np.cumsum([len(word) for word in rjieba.cut(text)]).tolist())
        found = set(np.cumsum([len(word) for word, _ in _cut(text)]).tolist())
        same += len(expected & found)
        total += len(expected | found)
    assert same >= 0.99 * total


def test_without_jieba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(UserError, match=r"pip install 'taixue-pretrain\[annotate\]'"):
        Annotator(AnnotateConfig())
    Annotator(AnnotateConfig(words=False, names=False))
