"""A small tokenizer of each kind, a corpus of two sources, and a run that reads it."""

from pathlib import Path

import pytest

from taixue.pretrain.config.schema import DataConfig, RunConfig, SourceConfig, SpanCorruptionConfig, T5Config

from ...data_tools.texts import make_corpus, make_texts, make_tokenizer


@pytest.fixture(scope="session")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("t5") / "tokenizer", "t5", sentinels=20)


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("bert") / "tokenizer", "bert")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, t5_folder: Path) -> Path:
    """web has about three times the tokens of news, in several shards."""
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    texts = {"web": make_texts(150, seed=1), "news": make_texts(50, seed=2)}
    return make_corpus(folder, t5_folder, texts, shard_bytes=20_000, validation_fraction=0.2)


@pytest.fixture
def run(corpus: Path, t5_folder: Path) -> RunConfig:
    return RunConfig(
        seed=3,
        eval_windows=5,
        model=T5Config(vocab_size=512),
        data=DataConfig(tokenizer=str(t5_folder), sources=(SourceConfig(corpus=str(corpus)),)),
        objective=SpanCorruptionConfig(input_length=32),
    )
