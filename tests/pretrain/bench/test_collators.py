"""`taixue bench masking` runs every step and says what it measured; its rivals make what they should."""

from pathlib import Path

import numpy as np
import pytest

from taixue import UserError
from taixue.pretrain.bench.collator_rivals import hf_t5
from taixue.pretrain.bench.collators import bench

from ...data_tools.texts import make_corpus, make_texts, make_tokenizer
from ..objectives.fake import fake_t5


def test_table(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path / "tokenizer", "bert")
    corpus = make_corpus(tmp_path / "corpus", tokenizer, {"web": make_texts(60)}, annotate={})
    table = bench(tokenizer, corpus, length=64, windows=128, rounds=1)
    assert "knowledge" in table
    assert "HF's" in table
    with pytest.raises(UserError, match="at least 128, 1 and 32"):
        bench(tokenizer, corpus, windows=5)


def test_the_t5_rival_has_t5s_shapes() -> None:
    windows = np.full((4, 568), 7, np.int32)
    made = hf_t5(fake_t5(), windows, 512)(range(4))
    assert {name: array.shape for name, array in made.items()} == {
        "input_ids": (4, 512),
        "labels": (4, 114),
        "decoder_input_ids": (4, 114),
    }
    assert ((made["input_ids"] == 7).sum(axis=1) + (made["labels"] == 7).sum(axis=1) == 568).all()
