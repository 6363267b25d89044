"""Tokenizers shared by the tests of this folder."""

from pathlib import Path

import pytest

from .texts import make_tokenizer


@pytest.fixture(scope="session")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("t5") / "tokenizer", "t5", sentinels=20)


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("bert") / "tokenizer", "bert")
