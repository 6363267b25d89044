"""One run handed from layout to layout learns what one process would have learned."""

from pathlib import Path
from typing import Any

import pytest

from ...dist import run_ranks
from .runs import T5, bert, go, metrics, settings

RELAY: list[tuple[int, dict[str, Any]]] = [
    (4, {"tp": 2, "pp": 2}),
    (4, {"dp_replicate": 2, "dp_shard": 2}),
    (2, {"pp": 2, "pipeline_schedule": "v"}),
    (1, {}),
]


@pytest.mark.parametrize("kind", ["t5", "t5-packed", "albert"])
def test_a_relay_of_layouts_equals_one_process(kind: str, made: dict[str, str], tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "steps": len(RELAY),
        "compute": {"device": "cpu", "precision": "fp32", "float64": True},
        "eval_every": 1,
        "optimizer": {
            "name": "adafactor" if kind == "t5" else "adamw-rms",
            "lr": 0.01,
            "weight_decay": 0.01,
        },
        "model": T5 | {"dropout": 0.0, "tie_embeddings": kind == "t5-packed"},
    }
    if kind == "t5-packed":  # several stretches of text in a row, told apart by segments
        changes["objective"] = {"kind": "ul2", "input_length": 96, "denoisers": [{}, {"spans": "prefix"}]}
    if kind == "albert":  # one layer, of which every stage has a replica
        changes |= bert(made)
        changes["model"] = changes["model"] | {"family": kind, "dropout": 0.0, "num_layers": 4}
    alone = settings(tmp_path / "alone", made, **changes)
    relay = settings(tmp_path / "relay", made, **changes)
    assert run_ranks(go, 1, alone) == ["done"]
    for number, (world, layout) in enumerate(RELAY):
        last = number == len(RELAY) - 1
        assert set(run_ranks(go, world, relay | {"parallel": layout}, "" if last else "term@1")) == {"done"}
    ours, theirs = metrics(relay), metrics(alone)
    assert len(ours) == len(theirs) == 2 * len(RELAY)
    for mine, expected in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(expected, rel=1e-12)
