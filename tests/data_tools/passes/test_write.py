"""A fast tokenizer that is wrong is found, and its library does the work."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from taixue.data_tools.config import CorpusBuildConfig
from taixue.data_tools.passes.cut import plan
from taixue.data_tools.passes.write import Encoder
from taixue.data_tools.tokenizer.sentencepiece import SentencePieceTokenizer
from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.data_tools.tokenizer.wordpiece import BertTokenizer

from ..texts import make_texts, write_jsonl


def encoder(folder: Path, tokenizer: Path) -> Encoder:
    config = CorpusBuildConfig.model_validate(
        {
            "tokenizer": str(tokenizer),
            "sources": [{"name": "web", "inputs": [str(write_jsonl(folder / "a.jsonl", ["中"]))]}],
            "output": str(folder / "corpus"),
        }
    )
    return Encoder(plan(config, load_tokenizer(tokenizer))[0])


@pytest.mark.parametrize("kind", ["t5_folder", "bert_folder"])
def test_both_ways_give_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = load_tokenizer(request.getfixturevalue(kind))
    library, texts = tokenizer.by_library(), make_texts(20)
    for ours, theirs in zip(tokenizer.encode_joined(texts), library.encode_joined(texts), strict=True):
        assert np.array_equal(ours, theirs)
    assert library.sha256 == tokenizer.sha256
    assert library.special == tokenizer.special


def test_bert_by_its_library(tmp_path: Path, bert_folder: Path) -> None:
    made = encoder(tmp_path, bert_folder)
    fast, texts = load_tokenizer(bert_folder), make_texts(20)
    assert isinstance(fast, BertTokenizer)
    fast.encoder(texts)
    fast.encoder._table[ord(texts[0][0])] += 1  # an id beside the right one
    made.tokenizer = fast
    with pytest.warns(UserWarning, match="differs from the library"):
        found = made.encode(texts)
    assert np.array_equal(found.tokens, fast.by_library().encode_joined(texts)[0])
    assert not np.array_equal(found.tokens, fast.encode_joined(texts)[0])


def test_t5_by_its_library(tmp_path: Path, t5_folder: Path) -> None:
    made = encoder(tmp_path, t5_folder)
    right, texts = load_tokenizer(t5_folder), make_texts(20)
    assert isinstance(right, SentencePieceTokenizer)

    class Wrong(SentencePieceTokenizer):
        def encode_joined(self, texts: object) -> tuple[np.ndarray, np.ndarray]:
            tokens, lengths = super().encode_joined(texts)  # type: ignore[arg-type]
            return (tokens + 1, lengths) if self.has_shortcut else (tokens, lengths)

    fields = {own.name: getattr(right, own.name) for own in dataclasses.fields(right)}
    made.tokenizer = Wrong(**fields)
    with pytest.warns(UserWarning, match="differs from the library"):
        found = made.encode(texts)
    assert np.array_equal(found.tokens, right.encode_joined(texts)[0])
