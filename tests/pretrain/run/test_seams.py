"""The loop knows neither its engine nor its data: others of both, through the very train() of a run."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from taixue.parallel.engine import Engine
from taixue.pretrain import train
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.models import ModelSpec, model_spec

from ...dist import run_ranks
from . import runs
from .plain_engine import PlainEngine
from .runs import BERT, T5, bert, go, metrics, settings, tensors

EXACT: dict[str, Any] = {
    "compute": {"device": "cpu", "precision": "fp32", "float64": True},
    "optimizer": {"name": "adamw", "lr": 0.01, "betas": [0.9, 0.98], "eps": 1e-8, "weight_decay": 0.1},
    "schedule": {"name": "constant", "warmup_steps": 2},
}


def _go_plain(values: dict[str, Any]) -> str:
    """Rank function: as go, with the other engine."""

    def build(run: RunConfig, spec: ModelSpec, device: torch.device) -> Engine:
        return PlainEngine(spec, run.optimizer.weight_decay, run.optimizer.clip_norm)

    with mock.patch.object(train, "build_engine", build):
        return go(values)


@pytest.mark.parametrize("kind", ["t5", "bert"])
def test_an_engine_of_plain_torch_learns_the_same(kind: str, made: dict[str, str], tmp_path: Path) -> None:
    changes = EXACT | (bert(made) if kind == "bert" else {}) | {"dry_run": True}
    changes |= {"model": (BERT if kind == "bert" else T5) | {"dropout": 0.0}}
    ours, other = (settings(tmp_path / name, made, **changes) for name in ("ours", "other"))
    assert run_ranks(go, 2, ours) == ["done", "done"]
    assert run_ranks(_go_plain, 1, other | {"steps": 2, "eval_every": 0}) == ["done"]
    assert run_ranks(_go_plain, 1, other | {"steps": 4, "eval_every": 3}) == [
        "done"
    ]  # from its own checkpoint
    assert run_ranks(go, 1, other) == ["done"]  # and ours from the other's
    at = {(row["step"], "loss" in row): row for row in metrics(other)}
    for row in metrics(ours):
        assert at[row["step"], "loss" in row] == pytest.approx(row, rel=1e-8)
    keys = {key.partition(":")[2] for key in tensors(ours, 6)}
    assert {key.partition(":")[2] for key in tensors(other, 4)} == keys


class Records:
    """Records of a task instead of windows over a corpus: which of three words stands first, to be answered by it."""

    fingerprint = hashlib.sha256(b"records, version 1").hexdigest()

    def batch(self, samples: range | np.ndarray) -> dict[str, np.ndarray]:
        draws = [np.random.Generator(np.random.PCG64(int(k))).integers(0, 3, 4) for k in samples]
        words = np.array(draws) + 100
        targets = np.stack([words[:, 0], np.ones(len(words), np.int64)], 1)
        shifted = np.pad(targets[:, :-1], ((0, 0), (1, 0)))
        return {"input_ids": words, "decoder_input_ids": shifted, "labels": targets}

    def validation(self) -> dict[str, "HeldOutRecords"]:
        return {"first-word": HeldOutRecords()}


class HeldOutRecords:
    weight = 1.0

    def __len__(self) -> int:
        return 7

    def __getitem__(self, numbers: range | np.ndarray) -> dict[str, np.ndarray]:
        return Records().batch(np.asarray(numbers) + 10**6)


def _go_records(values: dict[str, Any]) -> str:
    """Rank function: as go, on records."""
    with mock.patch.object(runs, "open_data", return_value=Records()):
        return go(values)


def test_records_of_a_task_are_learned_by_the_same_loop(made: dict[str, str], tmp_path: Path) -> None:
    changes = EXACT | {"model": T5 | {"dropout": 0.0}, "steps": 18, "eval_every": 6}
    changes |= {"checkpoint": {"every": 12}, "logging": {"every": 1}}
    changes |= {"optimizer": EXACT["optimizer"] | {"lr": 0.03}}
    alone, spread = (settings(tmp_path / name, made, **changes) for name in ("alone", "spread"))
    assert run_ranks(_go_records, 1, alone) == ["done"]
    assert run_ranks(_go_records, 2, spread | {"steps": 6}) == ["done", "done"]
    assert run_ranks(_go_records, 2, spread | {"parallel": {"tp": 2}}) == ["done", "done"]
    held_out = [row["eval/first-word/span"] for row in metrics(alone) if "loss" not in row]
    assert len(held_out) == 3
    assert held_out[-1] < 1.0 < held_out[0]  # nats: the words are told apart from all others
    for mine, expected in zip(metrics(spread), metrics(alone), strict=True):
        assert mine == pytest.approx(expected, rel=1e-11)


def _go_counting(values: dict[str, Any]) -> int:
    """Rank function: as go; how many weights were initialised."""
    names: list[str] = []

    def counted(*arguments: Any) -> ModelSpec:
        spec = model_spec(*arguments)

        def init(name: str, shape: tuple[int, ...]) -> torch.Tensor:
            names.append(name)
            return spec.init(name, shape)

        return replace(spec, init=init)

    with mock.patch.object(train, "model_spec", counted):
        assert go(values) == "done"
    return len(names)


def test_a_resumed_run_initialises_nothing(made: dict[str, str], tmp_path: Path) -> None:
    values = settings(tmp_path, made, eval_every=0)
    pipeline = {"parallel": {"pp": 2, "pipeline_schedule": "v"}, "model": T5 | {"tie_embeddings": True}}
    first = run_ranks(_go_counting, 2, values | pipeline | {"steps": 2})
    assert min(first) > 0
    assert run_ranks(_go_counting, 2, values | pipeline) == [0, 0]
