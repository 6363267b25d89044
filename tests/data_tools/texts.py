"""Small generated texts, and the tokenizers and corpora made from them."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig, TokenizerTrainConfig
from taixue.data_tools.tokenizer.store import train

_WORDS_TEXT = """
北京 上海 天气 今天 我们 他们 学习 工作 公司 技术 发展 经济 社会 问题 老师 学生 孩子 医院 医生 火车 飞机 城市 农村
春天 秋天 很 好 不 是 在 有 的 了 和 就 都 说 去 看 吃 喝 想 要 可以 因为 所以 但是 如果 虽然 已经 还 再 一 二 三 十 百
年 月 日 GPU Python model data 2024 3.5 AI email OpenAI iPhone the of
"""
_WORDS = _WORDS_TEXT.split()


def make_texts(count: int, seed: int = 0, words: int = 60) -> list[str]:
    """Texts of varied lengths, Chinese with some English; no two are equal."""
    choose = random.Random(seed)
    weights = [1 / (rank + 3) for rank in range(len(_WORDS))]
    texts = []
    for number in range(count):
        length = choose.randint(3, 2 * words)
        body = choose.choices(_WORDS, weights, k=length)
        marks = [choose.choices(["", "", "", ",", "。", "!", " ", "\n"])[0] for _ in body]
        texts.append(
            f"第{number}篇:" + "".join(word + mark for word, mark in zip(body, marks, strict=True)) + "。"
        )
    return texts


def write_jsonl(path: Path, texts: Sequence[str], field: str = "text") -> Path:
    """One object per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps({field: text, "source": "test"}) + b"\n" for text in texts))
    return path


def make_tokenizer(folder: Path, kind: str, **settings: Any) -> Path:
    """A tokenizer of 400 ids learned from generated texts."""
    texts = write_jsonl(folder.with_name(f"{folder.name}.jsonl"), make_texts(300, seed=7))
    chosen = {"vocab_size": 400, "threads": 1} | settings
    return train(TokenizerTrainConfig(kind=kind, inputs=(str(texts),), output=str(folder), **chosen))


def make_corpus(folder: Path, tokenizer: Path, sources: dict[str, Sequence[str]], **settings: Any) -> Path:
    """A corpus with these texts by source."""
    entries = []
    for name, texts in sources.items():
        path = write_jsonl(folder.parent / f"{folder.name}-{name}.jsonl", texts)
        entries.append({"name": name, "inputs": [str(path)]})
    chosen = {"workers": 1, "validation_fraction": 0.1} | settings
    return build(CorpusBuildConfig(tokenizer=str(tokenizer), sources=entries, output=str(folder), **chosen))
