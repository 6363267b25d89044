"""Which keys a continued run must keep: the schema says it, key by key."""

from typing import Any

import pytest

from taixue.pretrain.config.changes import differences, is_decisive
from taixue.pretrain.config.schema import RunConfig

RUN = RunConfig.model_validate({"model": {"family": "bert"}, "objective": {"kind": "mlm"}})


@pytest.mark.parametrize(
    ("key", "decisive"),
    [
        ("seed", True),
        ("model.d_model", True),
        ("model.features.dropout", True),
        ("model.a_later_key", True),
        ("objective.units.caps.word", True),
        ("batch.global_size", True),
        ("optimizer.name", True),
        ("model.dropout", False),
        ("optimizer.lr", False),
        ("optimizer", False),
        ("batch.micro_size", False),
        ("parallel.tp", False),
        ("a_later_section.key", False),
        ("init_from", False),
    ],
)
def test_what_is_decisive(key: str, decisive: bool) -> None:
    assert is_decisive(RUN, key) == decisive


def test_differences_know_defaults_of_the_kinds_at_hand() -> None:
    saved: dict[str, Any] = RUN.model_dump(mode="json")
    assert differences(saved, RUN) == {}
    del saved["model"]["max_positions"]
    del saved["schedule"]
    saved["optimizer"]["lr"] = 3.0
    saved["forgotten"] = {"key": 1}
    assert differences(saved, RUN) == {"forgotten.key": (1, None), "optimizer.lr": (3.0, RUN.optimizer.lr)}
