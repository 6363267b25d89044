"""What is proposed to save memory is legal, and learns the same."""

import pytest

from taixue.pretrain.config.room import less_memory
from taixue.pretrain.config.schema import RunConfig


@pytest.mark.parametrize(
    ("values", "world", "says"),
    [
        (
            {"batch": {"global_size": 48, "micro_size": 12}, "parallel": {"dp_replicate": 2}},
            2,
            "set batch.micro_size to 6 (now 12), or compute.activation_checkpointing to selective (now none), or "
            "parallel.dp_replicate to 1 and dp_shard to 2: each rank keeps 1/2 of the weights, gradients and optimizer "
            "states",
        ),
        (
            {
                "batch": {"global_size": 8, "micro_size": 1},
                "parallel": {"dp_shard": 4},
                "compute": {"activation_checkpointing": "selective"},
            },
            4,
            "set compute.activation_checkpointing to full (now selective), or parallel.tp to 2 and dp_shard to 2",
        ),
        (
            {"batch": {"global_size": 8, "micro_size": 1}, "compute": {"activation_checkpointing": "full"}},
            1,
            "a smaller model, shorter samples or more ranks are left",
        ),
    ],
)
def test_what_needs_less_memory(values: dict[str, object], world: int, says: str) -> None:
    assert less_memory(RunConfig.model_validate(values), world) == says
