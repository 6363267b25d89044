"""What may differ between a checkpoint and the run that continues it, and what is said when it may not."""

from typing import Any

import pytest

from taixue import UserError
from taixue.pretrain.checkpoint import check
from taixue.pretrain.config.schema import RunConfig


def state(**changes: Any) -> dict[str, Any]:
    return {"config": RunConfig.model_validate(changes).model_dump(mode="json"), "fingerprint": "abc"}


def run(**changes: Any) -> RunConfig:
    return RunConfig.model_validate(changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 7},
        {"parallel": {"tp": 2, "pp": 2, "dp_shard": 0}},
        {"schedule": {"name": "linear"}},
        {"optimizer": {"lr": 0.5, "betas": [0.9, 0.95]}},
        {"batch": {"micro_size": 2}},
        {"model": {"family": "t5", "dropout": 0.1}},
        {"compute": {"precision": "fp32"}},
        {"data": {"tokenizer": "moved/elsewhere"}},
        {"logging": {"every": 1}},
    ],
    ids=str,
)
def test_where_and_how_fast_may_change(changes: dict[str, Any]) -> None:
    check(state(), run(**changes), "abc", "step-1")


@pytest.mark.parametrize(
    ("changes", "key", "values"),
    [
        ({"model": {"family": "t5", "d_model": 256}}, "model.d_model", (512, 256)),
        ({"model": {"family": "bert"}}, "model", ()),
        (
            {"objective": {"kind": "span-corruption", "noise_density": 0.5}},
            "objective.noise_density",
            (0.15, 0.5),
        ),
        ({"seed": 2}, "seed", (1, 2)),
        ({"batch": {"global_size": 64}}, "batch.global_size", (128, 64)),
        ({"optimizer": {"name": "adafactor"}}, "optimizer.name", ("'adamw-rms'", "'adafactor'")),
    ],
    ids=str,
)
def test_what_is_learned_may_not(changes: dict[str, Any], key: str, values: tuple[Any, ...]) -> None:
    with pytest.raises(UserError) as error:
        check(state(), run(**changes), "abc", "runs/x/step-1")
    message = str(error.value)
    assert key in message
    assert all(str(value) in message for value in values)
    assert "runs/x/step-1" in message
    assert "another name" in message


def test_other_data_is_refused() -> None:
    with pytest.raises(UserError, match=r"other data or another tokenizer .*abc.*xyz"):
        check(state(), run(), "xyz", "step-1")


def test_a_key_younger_than_the_checkpoint_counts_as_its_default() -> None:
    old = state()
    del old["config"]["model"]["relative_buckets"]
    check(old, run(), "abc", "step-1")
    with pytest.raises(UserError, match=r"model.relative_buckets = 32, the configuration says 64"):
        check(old, run(model={"family": "t5", "relative_buckets": 64}), "abc", "step-1")


def test_a_key_this_version_does_not_know_is_refused() -> None:
    young = state()
    young["config"]["model"]["mixture_of_depths"] = True
    with pytest.raises(UserError, match=r"model.mixture_of_depths = True"):
        check(young, run(), "abc", "step-1")
