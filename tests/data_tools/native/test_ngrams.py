"""n-grams of units: C++ and plain Python agree, and a shared one is found where a brute search finds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue.data_tools import native
from taixue.data_tools.native.plain.ngrams import Ngrams as PlainNgrams

from .texts import any_text, texts

ALPHABET = st.text(alphabet="天地後后aB1①㎏⼀. ，\nＡé가\u0301\ufeffｶﾞ", max_size=40)
WORDS = st.lists(st.sampled_from(["abcdef", "ABC12", "①a㎏bcd", "天", "\n", " "]), max_size=6).map("".join)


@settings(max_examples=200, deadline=None)
@given(
    texts | st.lists(ALPHABET | WORDS, max_size=6),
    st.lists(ALPHABET | WORDS | any_text, max_size=6),
    st.integers(1, 9),
)
def test_twins_agree(looked_for: list[str], searched: list[str], ngram: int) -> None:
    if not native.is_native():
        pytest.skip("no C++ extension")
    plain, units = PlainNgrams(ngram), [np.zeros(0, np.int64)]
    for number, text in enumerate(looked_for):
        units.append(plain.add([text, text], number))
    ours = native.Ngrams(ngram, (([text, text], number) for number, text in enumerate(looked_for)))
    assert np.array_equal(ours.units, np.concatenate(units))
    searched = [
        *searched,
        *looked_for,
        "，".join([*searched, *looked_for]),
        "".join([*searched, *looked_for, *searched]),
    ]
    assert np.array_equal(ours.find(searched), plain.find(searched))


def test_what_counts() -> None:
    """Case, width, punctuation and white space do not; word boundaries do."""

    def shared(left: str, right: str, ngram: int = 4) -> list[list[int]]:
        return native.Ngrams(ngram, [([left], 0)]).find(["无关的话", right]).tolist()

    assert [row[:3] for row in shared("今天，天气 很好。", "说：今天天气很好！")] == [[1, 2, 6]]
    assert [row[:3] for row in shared("the GPU is fast", "oh The ＧＰＵ  is... fast?")] == [[1, 3, 22]]
    assert shared("the GPU is fast", "the GPUis fast") == []
    assert shared("abc今天", "今天abc 今", 3) == []
    assert shared("abc今天", "今天abc 今天", 9) == []
    for other in ("⼀隻後⾯", "一只后面", "㈠只后面"):
        assert [row[:3] for row in shared("说一只后面", f"说{other}", 5)] == [[1, 0, 5]]
    for other in (
        "ca\ufefffe\u0301今\u200b天が",
        "CAFÉ今天か\u3099",
        "ｃａｆe今天が",
        "ca\xadfé今天が\u200d",
    ):
        assert len(shared("说café今天が", f"说{other}", 5)) == 1
    assert shared("净重5㎏①号的货", "淨重5kg1號的貨", 7) == [[1, 0, 9, 0]]


def test_short_texts() -> None:
    """Words are whole documents, few units whole lines, more of them clauses; a unit may differ where that is safe."""

    def is_found(text: str, other: str) -> bool:
        return len(native.Ngrams(13, [([text], 0)]).find([other])) == 1

    assert is_found("前车", "前车。")
    assert not is_found("前车", "前车\n很多")
    for text, other in (
        ("abcd12", "好\nＡＢＣＤ12。\n好"),
        ("phone_x7", "Phone X7\n好"),
        ("Reno4的", "reno4的"),
    ):
        assert is_found(text, other)
    for text, other in (("abc12", "好\nabc12"), ("abcd12", "好 abcd12"), ("abcd12", "abcd13\n好")):
        assert not is_found(text, other)
    assert is_found("打开灯", "好\n打开灯！\n好")
    assert not is_found("打开灯", "好，打开灯！")
    assert is_found("请把灯打开", "好\n请把灯關了\n好") is False
    assert is_found("请把灯打开", "好\n请将灯打開。\n好")
    assert is_found("你会做些什么", "她问：你會做些什麼？他说不会")
    assert not is_found("你会做些什么", "她问你会做些什么？")
    assert not is_found("你会做些什么", "她问：你会做点什么？")
    assert is_found("你会做些什么", "她问：\n你会做点什么？")
    assert is_found("明天早上七点叫我起床", "她说，明天早上八点叫我起床。")
    assert is_found("明天早上七点叫我起床", "别忘了明天早上七点叫我起床。")
    assert not is_found("明天早上七点叫我起床", "别忘了明天早上七点叫我起床好吗")
