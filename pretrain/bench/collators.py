"""`taixue bench masking`: raw tokens per CPU-second from mapped shards to batches, beside other collators.

A speed is a ratio measured in one run: every step takes its turn on the same windows of the same shards, best and
median of several rounds are kept, and the load of the machine is said. The others are given the windows as arrays in
memory, which costs them nothing.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from taixue.base import UserError, compiled
from taixue.data_tools.shards import manifest
from taixue.data_tools.tokenizer.base import Tokenizer
from taixue.data_tools.tokenizer.store import load_tokenizer

from ..config.schema import (
    BertConfig,
    DataConfig,
    MlmConfig,
    ObjectiveConfig,
    PrefixLmConfig,
    RunConfig,
    SourceConfig,
    SpanCorruptionConfig,
    T5Config,
    Ul2Config,
)
from ..data import TrainingData, open_data
from ..objectives import build_objective
from ..objectives.native import masking
from .collator_rivals import rivals

_BATCH = 128


@dataclass(frozen=True)
class Speed:
    """Of one step, in million raw tokens per CPU-second. annotated: it reads the sidecar."""

    step: str
    best: float
    middle: float


def bench(tokenizer: Path, corpus: Path, length: int = 512, windows: int = 2048, rounds: int = 5) -> str:
    """The table for a corpus made by the tokenizer. UserError when it is not, or holds too little."""
    if windows < _BATCH or rounds < 1 or length < 32:
        raise UserError(
            f"windows: {windows}, rounds: {rounds}, length: {length}; at least {_BATCH}, 1 and 32 are needed"
        )
    loaded = load_tokenizer(tokenizer)
    annotated = all(shard.ann_sha256 for shard in manifest.read_corpus(corpus).shards)
    steps: dict[str, Callable[[range], Any]] = {}
    sizes: dict[str, int] = {}
    for name, objective, needs in _objectives(loaded.kind, length):
        if needs and not annotated:
            continue
        data = _open(objective, tokenizer, corpus, loaded)
        steps[name], sizes[name] = data.batch, data.objective.raw_length
    first = next(iter(steps))
    plain = _open(_objectives(loaded.kind, length)[0][1], tokenizer, corpus, loaded)
    found, missing = rivals(loaded, tokenizer, plain.windows(range(windows))[0], length)
    steps |= found
    sizes |= dict.fromkeys(found, sizes[first])
    return table(measure(steps, sizes, windows, rounds), loaded.kind, windows, missing)


def measure(
    steps: dict[str, Callable[[range], Any]], sizes: dict[str, int], windows: int, rounds: int
) -> list[Speed]:
    """Speeds of the steps, which take turns."""
    batches = [range(begin, begin + _BATCH) for begin in range(0, windows - _BATCH + 1, _BATCH)]
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            begin = time.process_time()
            for batch in batches:
                step(batch)
            seconds[name].append(time.process_time() - begin)
    tokens = len(batches) * _BATCH / 1e6
    return [
        Speed(name, tokens * sizes[name] / min(taken), tokens * sizes[name] / median(taken))
        for name, taken in seconds.items()
    ]


def table(speeds: Sequence[Speed], kind: str, windows: int, missing: Sequence[str]) -> str:
    """For people; the last column compares with the first rival."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    machine = f"{compiled.status(masking.loaded())}; {os.cpu_count()} cores, load {load}"
    head = f"{kind}, {windows:,} windows, batches of {_BATCH}; {machine}"
    rows = [f"{'M raw tokens/s per core':40}{'best':>8}{'median':>8}{'ratio':>8}"]
    base = next((speed.best for speed in speeds if speed.step.startswith("  ")), 0.0)
    rows += [
        f"{speed.step:40}{speed.best:8.2f}{speed.middle:8.2f}" + (f"{speed.best / base:8.2f}" if base else "")
        for speed in speeds
    ]
    return "\n".join([head, *rows, *missing])


def _objectives(kind: str, length: int) -> list[tuple[str, ObjectiveConfig, bool]]:
    """(name, configuration, whether it reads annotation); the first is the plain one."""
    if kind == "t5":
        return [
            ("span corruption", SpanCorruptionConfig(input_length=length), False),
            (
                "span corruption, geometric",
                SpanCorruptionConfig(input_length=length, spans="geometric"),
                False,
            ),
            ("span corruption, words", SpanCorruptionConfig(input_length=length, spans="words"), True),
            (
                "span corruption, knowledge",
                SpanCorruptionConfig(input_length=length, spans="knowledge"),
                True,
            ),
            ("prefix LM", PrefixLmConfig(input_length=length), False),
            ("UL2, packed", Ul2Config(input_length=4 * length), False),
        ]
    return [
        ("MLM", MlmConfig(input_length=length, sentence_order=False), False),
        ("MLM, sentence order", MlmConfig(input_length=length), False),
        ("MLM, words", MlmConfig(input_length=length, masking="word"), True),
        ("MLM, knowledge", MlmConfig(input_length=length, masking="knowledge"), True),
        (
            "MLM, knowledge, features and labels",
            MlmConfig(
                input_length=length, masking="knowledge", features=True, tag_labels=True, relation_labels=True
            ),
            True,
        ),
    ]


def _open(objective: ObjectiveConfig, folder: Path, corpus: Path, tokenizer: Tokenizer) -> TrainingData:
    vocabulary = tokenizer.vocab_size
    run = RunConfig(
        eval_every=0,
        model=T5Config(vocab_size=vocabulary)
        if tokenizer.kind == "t5"
        else BertConfig(vocab_size=vocabulary),
        data=DataConfig(tokenizer=str(folder), sources=(SourceConfig(corpus=str(corpus)),)),
        objective=objective,
    )
    return open_data(run, tokenizer, build_objective(objective, tokenizer))
