"""The loop knows neither its engine nor its data: others of both, through the very train() of a run."""

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from taixue.parallel.engine import Engine
from taixue.pretrain import train
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.models import ModelSpec

from ...dist import run_ranks
from .plain_engine import PlainEngine
from .runs import BERT, T5, bert, go, metrics, settings, tensors

EXACT = {
    "compute": {"device": "cpu", "precision": "fp32", "float64": True},
    "optimizer": {"name": "adamw", "lr": 0.01, "betas": [0.9, 0.98], "eps": 1e-8, "weight_decay": 0.1},
}


def _go_plain(values: dict[str, Any], disturbance: str = "") -> list[str]:
    """Rank function: as go, with the other engine; what that can do without a loop is done at the end."""
    made: list[PlainEngine] = []

    def build(run: RunConfig, spec: ModelSpec, device: torch.device) -> Engine:
        made.append(PlainEngine(spec, run.optimizer.weight_decay, run.optimizer.clip_norm))
        return made[-1]

    with mock.patch.object(train, "build_engine", build):
        said = go(values)
    return [said, *sorted(made[0].tensors())]


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_an_engine_of_plain_torch_learns_the_same(family: str, made: dict[str, str], tmp_path: Path) -> None:
    changes = EXACT | (bert(made) if family == "bert" else {}) | {"dry_run": True}
    changes["model"] = (BERT if family == "bert" else T5) | {"dropout": 0.0}
    ours = settings(tmp_path / "ours", made, **changes)
    other = settings(tmp_path / "other", made, **changes)
    assert run_ranks(go, 2, ours | {"parallel": {"dp_shard": 2}}) == ["done", "done"]
    first = run_ranks(_go_plain, 1, other | {"steps": 4, "schedule": {"name": "constant", "warmup_steps": 2}})
    assert first[0][0] == "done"
    assert {key.partition(":")[2] for key in tensors(other, 4)} == set(first[0][1:])
    learned = [row for row in metrics(ours) if "loss" in row][:2]
    for mine, expected in zip(metrics(other), learned, strict=False):
        assert mine["loss"] == pytest.approx(expected["loss"], rel=1e-9)
        assert mine["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-7)
