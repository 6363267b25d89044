"""Tokenizers that are only ids."""

from collections.abc import Sequence

import numpy as np

from taixue.data_tools.tokenizer.base import SpecialIds, Tokenizer


class FakeTokenizer(Tokenizer):
    """Ids and no text."""

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        raise AssertionError("objectives see ids alone")

    def _with_starts(self, text: str) -> tuple[list[int], list[int]]:
        raise AssertionError("objectives see ids alone")

    def _text(self, ids: list[int]) -> str:
        raise AssertionError("objectives see ids alone")

    def _piece(self, number: int) -> str:
        return f"<{number}>"


def fake_t5(sentinels: int = 100, vocab_size: int = 1000) -> Tokenizer:
    ids = tuple(range(vocab_size - 1, vocab_size - 1 - sentinels, -1))
    names = {0: "<pad>", 1: "</s>", 2: "<unk>"} | {number: f"<extra_id_{k}>" for k, number in enumerate(ids)}
    return FakeTokenizer("t5", "0", "none", vocab_size, SpecialIds(0, 1, 2, sentinels=ids), names)


def fake_bert(vocab_size: int = 200) -> Tokenizer:
    names = dict(enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])) | {vocab_size - 1: "[unused1]"}
    return FakeTokenizer("bert", "0", "none", vocab_size, SpecialIds(0, 3, 1, 4, 2, 3), names)
