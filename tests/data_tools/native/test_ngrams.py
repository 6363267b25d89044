"""n-grams of units: C++ and plain Python agree, and a shared one is found where a brute search finds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue.data_tools import native
from taixue.data_tools.native.plain.ngrams import Ngrams as PlainNgrams

from .texts import any_text, texts

ALPHABET = st.text(alphabet="天地aB1. ，Ａé가", max_size=40)


@settings(max_examples=200, deadline=None)
@given(texts | st.lists(ALPHABET, max_size=6), st.lists(ALPHABET | any_text, max_size=6), st.integers(1, 9))
def test_twins_agree(looked_for: list[str], searched: list[str], ngram: int) -> None:
    if not native.is_native():
        pytest.skip("no C++ extension")
    plain = PlainNgrams(ngram)
    for number, text in enumerate(looked_for):
        plain.add([text], number)
    ours = native.Ngrams(ngram, (([text, text], number) for number, text in enumerate(looked_for)))
    assert bool(ours) == bool(plain)
    searched = [*searched, "".join([*searched, *looked_for, *searched])]
    assert np.array_equal(ours.find(searched), plain.find(searched))


def test_what_counts() -> None:
    """Case, width, punctuation and white space do not; word boundaries do."""

    def shared(left: str, right: str, ngram: int = 4) -> list[list[int]]:
        return native.Ngrams(ngram, [([left], 0)]).find(["无关的话", right]).tolist()

    assert [row[:3] for row in shared("今天，天气 很好。", "说：今天天气很好！")] == [[1, 2, 6]]
    assert [row[:3] for row in shared("the GPU is fast", "oh The ＧＰＵ  is... fast?")] == [[1, 3, 22]]
    assert shared("the GPU is fast", "the GPUis fast") == []
    assert shared("abc今天", "今天abc 今", 3) == []
    assert shared("太短", "太短", 3) == []
