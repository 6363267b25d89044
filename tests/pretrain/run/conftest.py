"""A tokenizer and a corpus of each kind, made once from invented text."""

import random
from pathlib import Path

import orjson
import pytest

from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig, TokenizerTrainConfig
from taixue.data_tools.tokenizer.store import train

TEXT = "春天 风 吹过 山 水 花 草 太学 学生 读书 写字 城市 火车 天空 月亮 今天 明天 我们 他们 喜欢 看见 听说 很 好 的 了"
WORDS = TEXT.split()
CONNECTIVES = ["但是", "因为", "所以", "如果"]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders: t5, t5-corpus, bert, bert-corpus."""
    root = tmp_path_factory.mktemp("made")
    random.seed(1)
    with (root / "text.jsonl").open("wb") as file:
        for _ in range(120):
            text = "".join(random.choice(WORDS) + random.choice(["", "", "，", "。"]) for _ in range(60))
            file.write(orjson.dumps({"text": text}) + b"\n")
    inputs = (str(root / "text.jsonl"),)
    for kind, size in (("t5", 150), ("bert", 150)):
        tokenizer = str(root / kind)
        train(
            TokenizerTrainConfig(
                kind=kind, inputs=inputs, output=tokenizer, vocab_size=size, sentinels=20, threads=1
            )
        )
        sources = ({"name": "sample", "inputs": inputs},)
        config = {
            "tokenizer": tokenizer,
            "sources": sources,
            "output": str(root / f"{kind}-corpus"),
            "workers": 1,
        }
        build(CorpusBuildConfig.model_validate(config | {"validation_fraction": 0.1}))
    return {name: str(Path(root) / name) for name in ("t5", "t5-corpus", "bert", "bert-corpus")}


@pytest.fixture(scope="session")
def annotated(made: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """`made`, with corpora whose sidecars have words, clauses, connectives and entities."""
    root = tmp_path_factory.mktemp("annotated")
    draw = random.Random(2)
    (root / "lexicon.txt").write_text("太学\n城市\n")
    with (root / "text.jsonl").open("wb") as file:
        for _ in range(120):
            words = draw.choices([*WORDS, *CONNECTIVES], k=60)
            text = "".join(word + draw.choice(["", "", "，", "。"]) for word in words)
            file.write(orjson.dumps({"text": text}) + b"\n")
    for kind in ("t5", "bert"):
        config = {
            "tokenizer": made[kind],
            "sources": [{"name": "sample", "inputs": [str(root / "text.jsonl")]}],
            "output": str(root / f"{kind}-corpus"),
            "workers": 1,
            "validation_fraction": 0.1,
            "annotate": {"lexicons": [{"path": str(root / "lexicon.txt"), "type": "thing"}]},
        }
        build(CorpusBuildConfig.model_validate(config))
    return made | {f"{kind}-corpus": str(root / f"{kind}-corpus") for kind in ("t5", "bert")}
