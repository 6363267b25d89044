"""The fast BERT encoder gives the library's ids on any text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue.data_tools.tokenizer.character_encoder import CharacterEncoder
from taixue.data_tools.tokenizer.store import load_tokenizer

from ..texts import make_tokenizer

# Words, marks, controls, combining accents, ligatures, compatibility characters, emoji, other scripts.
_SPECIMENS = list(
    "北京不的aZ9 \n\t\u3000,。!“”—…·㈱Åée\u0301\u0300\x00\x7f\u200b\u00ad\ufeffﬁ豈각ㄱกำ😀👍🏽𠀀İßΣ=\u0338[]#_"
)
_WORDS = ["Python", "the", "##a", "[MASK]", "[SEP]", "iPhone15", "x" * 101, "天气", "\r\n"]
_text = st.lists(
    st.sampled_from(_SPECIMENS) | st.sampled_from(_WORDS) | st.characters(exclude_categories=["Cs"])
).map("".join)


@pytest.fixture(scope="module", params=["uncased", "cased", "joined"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("bert") / "tokenizer"
    make_tokenizer(folder, "bert", lowercase=request.param != "cased")
    tokenizer: Any = load_tokenizer(folder)
    if request.param == "joined":
        from tokenizers.normalizers import BertNormalizer

        tokenizer.hub.normalizer = BertNormalizer(handle_chinese_chars=False)
    return tokenizer.hub


@given(texts=st.lists(_text, max_size=5))
@settings(max_examples=150, deadline=None)
def test_ids_equal_the_librarys(hub: Any, texts: list[str]) -> None:
    expected = [encoding.ids for encoding in hub.encode_batch(texts, add_special_tokens=False)]
    encoder = CharacterEncoder(hub)
    for _ in range(2):  # the second time from memory
        rows = encoder(texts)
        assert [row.tolist() for row in rows] == expected
        assert all(row.dtype == np.int32 for row in rows)


@given(texts=st.lists(_text, max_size=5))
@settings(max_examples=100, deadline=None)
def test_joined_ids_know_where_they_start(hub: Any, texts: list[str]) -> None:
    ids, lengths, starts = CharacterEncoder(hub).joined(texts, 7)
    assert (ids.dtype, starts.dtype, len(lengths)) == (np.int32, np.int32, len(texts))
    ends = np.cumsum(lengths)
    for text, begin, end in zip(texts, ends - lengths, ends, strict=True):
        expected = hub.encode(text, add_special_tokens=False)
        assert ids[begin:end].tolist() == [*expected.ids, 7]
        assert starts[begin:end].tolist() == [*(first for first, _ in expected.offsets), len(text)]
