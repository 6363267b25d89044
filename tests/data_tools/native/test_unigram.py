"""Ids equal those of the sentencepiece library, in C++ and in plain Python, whatever the model's settings."""

import io
from functools import cache
from typing import Any

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.data_tools import native

from ..texts import make_texts
from .conftest import plain
from .texts import provoking, texts

MODELS: dict[str, dict[str, Any]] = {
    "default": {},
    "bytes": {"byte_fallback": True},
    "symbols": {
        "user_defined_symbols": ["<extra_id_0>", "中国", "中国人", "  ", "a b", "▁x", "e\u0301", "éé"],
        "remove_extra_whitespaces": False,
    },
    "suffix": {"treat_whitespace_as_suffix": True, "normalization_rule_name": "nfkc_cf"},
    "as it is": {
        "normalization_rule_name": "identity",
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "byte_fallback": True,
        "allow_whitespace_only_pieces": True,
    },
    "whole words": {"split_by_whitespace": False, "split_by_number": False, "split_by_unicode_script": False},
}


@cache
def model(name: str) -> bytes:
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(make_texts(200)),
        model_writer=out,
        model_type="unigram",
        vocab_size=600,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **MODELS[name],
    )
    return out.getvalue()


@cache
def encoder(name: str, is_plain: bool = False) -> native.Unigram:
    if is_plain:
        with plain():
            return native.Unigram(model(name))
    return native.Unigram(model(name))


@cache
def library(name: str) -> Any:
    return sentencepiece.SentencePieceProcessor(model_proto=model(name))


spelled = st.lists(
    st.sampled_from(
        [
            "<extra_id_0>",
            "中国",
            "中国人",
            "a b",
            " ",
            "  ",
            "▁",
            "▁x",
            "é",
            "e\u0301",
            "北京",
            "7",
            "77",
            "—",
            "\x00",
        ]
    ),
    max_size=15,
).map("".join)


@pytest.mark.parametrize("name", MODELS)
@given(texts=st.lists(provoking | spelled, max_size=5) | texts)
@settings(max_examples=100, deadline=None)
def test_ids_are_those_of_the_library(name: str, texts: list[str]) -> None:
    expected = [row.tolist() for row in library(name).encode(texts, return_type="numpy", num_threads=1)]
    for is_plain in (False, True):
        ids, exact = encoder(name, is_plain).encode(texts)
        assert exact.all()
        assert [row.tolist() for row in ids.rows()] == expected, "plain" if is_plain else "C++"


@pytest.mark.parametrize("name", MODELS)
@given(texts=st.lists(provoking | spelled, max_size=5) | texts)
@settings(max_examples=100, deadline=None)
def test_starts_are_those_of_the_library(name: str, texts: list[str]) -> None:
    is_prefixed = name not in ("suffix", "as it is")
    for is_plain in (False, True):
        rows, starts, exact = encoder(name, is_plain).encode_with_starts(texts, append=1)
        assert exact.all()
        ids = rows.rows()
        for text, own, found in zip(texts, ids, np.split(starts, rows.offsets[1:-1]), strict=False):
            mapping = library(name).encode(text, return_type="offset_mapping")
            expected = [begin for begin, _ in mapping["offsets"]]
            if is_prefixed and expected:
                expected[0] = -1  # the space that is put before a text
            assert own.tolist() == [*mapping["ids"], 1]
            assert found.tolist() == [*expected, len(text)], "plain" if is_plain else "C++"


def test_long_texts_keep_their_ties() -> None:
    """Beyond a score of 100,000 the library shifts all scores, which rounds differently."""
    text = "".join(make_texts(900))
    assert encoder("default").check([text, text[1:] * 3]) == []
    assert encoder("bytes").check([text]) == []


def test_append_and_dtype() -> None:
    ids, _ = encoder("default").encode(["北京", ""], append=1, dtype=np.uint16)
    expected = library("default").encode("北京")
    assert ids.values.dtype == np.uint16
    assert [row.tolist() for row in ids.rows()] == [[*expected, 1], [1]]
    with pytest.raises(UserError, match="65536"):
        encoder("default").encode(["x"], append=70_000, dtype=np.uint16)


def test_too_long_is_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.Unigram, "LONGEST", 6)  # bytes
    ids, exact = encoder("default").encode(["北京", "北京上海"])
    assert exact.tolist() == [True, False]
    assert len(ids.rows()[1]) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no model",
        b"\x0a\xff",
        model("default")[:-100],
        model("default") + b"\x1a\x02\x10\x01",  # the characters map is a number
        model("default") + b"\x0a\x06\x0a\x01a\x18\xac\x02",  # a piece of type 300
    ],
)
def test_damaged_models(content: bytes) -> None:
    with pytest.raises(UserError):
        native.Unigram(content)


def test_other_kinds_of_models() -> None:
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(make_texts(50)),
        model_writer=out,
        model_type="bpe",
        vocab_size=300,
        minloglevel=2,
    )
    with pytest.raises(UserError, match="unigram"):
        native.Unigram(out.getvalue())
