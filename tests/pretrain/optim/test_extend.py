"""An extended run: the exact rates on both sides of its old end, and what is said of a rate that jumps."""

import pytest

from taixue import UserError
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.config.validate import validate
from taixue.pretrain.optim import learning_rate
from taixue.pretrain.run.rate_jump import jump


def run(steps: int, name: str = "linear", **schedule: float) -> RunConfig:
    values = {"name": name, "warmup_steps": 10, "min_ratio": 0.2} | schedule
    return RunConfig.model_validate({"steps": steps, "optimizer": {"lr": 0.01}, "schedule": values})


def rates(config: RunConfig) -> list[float]:
    return [
        learning_rate(config.schedule, config.optimizer.lr, step, config.steps)
        for step in range(config.steps)
    ]


@pytest.mark.parametrize("name", ["inverse-sqrt", "cosine", "linear", "wsd", "constant"])
def test_the_first_round_is_the_finished_run_and_the_second_decays_again(name: str) -> None:
    old, new = rates(run(100, name)), rates(run(300, name, extend=100))
    assert new[:100] == old
    last = old[-1]
    assert new[100:110] == pytest.approx([last + (0.01 - last) * update / 10 for update in range(1, 11)])
    assert new[110:] == rates(run(200, name))[10:]


def test_exact_rates() -> None:
    new = rates(run(300, extend=100))
    assert [new[step] for step in (9, 99, 104, 109, 204, 299)] == pytest.approx(
        [0.01, 0.002, 0.006, 0.01, 0.006, 0.002]
    )


def test_a_jump_is_said_with_both_numbers_and_the_way_out() -> None:
    said = jump(run(100), run(300), 100)
    assert said.startswith("the learning rate jumps from 0.002 in step 100 to 0.00")
    assert "steps 100 -> 300" in said
    assert "--schedule.extend 100 warms up" in said
    assert "--schedule.warmup_steps 1 " in jump(run(100), run(110), 100)
    assert jump(run(100), run(300, extend=100), 100) == ""
    assert jump(run(300), run(300), 100) == ""
    assert jump(run(300, extend=100), run(300, extend=100), 200) == ""
    assert "were changed" in jump(run(300), run(600), 200)


def test_an_extension_fits() -> None:
    validate(run(300, extend=100), None)
    with pytest.raises(
        UserError, match=r"schedule.extend: 300 should be the steps before; of 300 at most 299"
    ):
        validate(run(300, extend=300), None)
    with pytest.raises(UserError, match=r"schedule.warmup_steps: 10 leaves nothing of 5 steps; at most 4"):
        validate(run(105, extend=100), None)
