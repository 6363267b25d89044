"""Configurations refuse what is not theirs; the folder needs no torch."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from taixue.data_tools.config import CorpusBuildConfig, TokenizerTrainConfig


def test_unknown_keys_and_empty_lists_are_errors() -> None:
    with pytest.raises(ValidationError, match="vocab_sise"):
        TokenizerTrainConfig.model_validate({"inputs": ["a"], "output": "b", "vocab_sise": 3})
    with pytest.raises(ValidationError, match="inputs"):
        TokenizerTrainConfig.model_validate({"inputs": [], "output": "b"})
    source = {"name": "web", "inputs": ["a"]}
    with pytest.raises(ValidationError, match="two sources are called web"):
        CorpusBuildConfig.model_validate({"tokenizer": "t", "output": "o", "sources": [source, source]})
    with pytest.raises(ValidationError, match="name"):
        CorpusBuildConfig.model_validate(
            {"tokenizer": "t", "output": "o", "sources": [source | {"name": "../web"}]}
        )


def test_nothing_imports_torch() -> None:
    code = (
        "import sys, taixue.data_tools.build.builder, taixue.data_tools.shards.corpus, taixue.pretrain.data.preview;"
        "from taixue.data_tools.tokenizer import sentencepiece, wordpiece;"
        "assert not {'torch', 'transformers', 'sentencepiece', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
