"""Schedules: their end points, continuity and independence of anything but the step."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.optim import ScheduleSection, learning_rate

NAMES = ("inverse-sqrt", "cosine", "linear", "wsd", "constant")


def config(name: str, **values: float) -> ScheduleSection:
    return RunConfig.model_validate({"schedule": {"name": name} | values}).schedule


@pytest.mark.parametrize("name", NAMES)
def test_warmup_is_a_line_from_zero_to_the_peak(name: str) -> None:
    schedule = config(name, warmup_steps=10)
    rates = [learning_rate(schedule, 0.5, step, 100) for step in range(10)]
    assert rates == pytest.approx([0.5 * (step + 1) / 10 for step in range(10)])


@pytest.mark.parametrize("name", ["cosine", "linear", "wsd"])
def test_the_last_step_uses_the_final_rate(name: str) -> None:
    schedule = config(name, warmup_steps=10, min_ratio=0.1)
    assert learning_rate(schedule, 2.0, 99, 100) == pytest.approx(0.2)
    assert learning_rate(schedule, 2.0, 500, 100) == pytest.approx(0.2)


def test_the_middle_of_each_decay() -> None:
    middle = 59  # update 60: half of the 80 steps after 20 of warm-up
    assert learning_rate(config("linear", warmup_steps=20, min_ratio=0.0), 1.0, middle, 100) == 0.5
    assert learning_rate(config("cosine", warmup_steps=20, min_ratio=0.0), 1.0, middle, 100) == pytest.approx(
        0.5
    )
    assert learning_rate(config("constant", warmup_steps=20), 1.0, middle, 100) == 1.0
    assert learning_rate(config("inverse-sqrt", warmup_steps=20, min_ratio=0.0), 1.0, 79, 100) == 0.5


def test_wsd_is_flat_until_the_last_stretch() -> None:
    schedule = config("wsd", warmup_steps=10, min_ratio=0.0, decay_steps=20)
    assert {learning_rate(schedule, 1.0, step, 100) for step in range(9, 80)} == {1.0}
    assert learning_rate(schedule, 1.0, 89, 100) == 0.5
    default = config("wsd", warmup_steps=10, min_ratio=0.0)
    assert learning_rate(default, 1.0, 89, 100) == 1.0
    assert learning_rate(default, 1.0, 94, 100) == 0.5


def test_inverse_sqrt_follows_t5() -> None:
    schedule = config("inverse-sqrt", warmup_steps=10_000, min_ratio=0.0)
    assert learning_rate(schedule, 0.01, 999_999, 1_000_000) == pytest.approx(1 / math.sqrt(1e6))


@settings(derandomize=True)
@given(
    name=st.sampled_from(NAMES),
    steps=st.integers(1, 500),
    warmup=st.integers(0, 600),
    decay=st.integers(0, 600),
    ratio=st.floats(0, 1),
    step=st.integers(0, 600),
)
def test_the_rate_stays_between_floor_and_peak(
    name: str, steps: int, warmup: int, decay: int, ratio: float, step: int
) -> None:
    schedule = config(name, warmup_steps=warmup, decay_steps=decay, min_ratio=ratio)
    rate = learning_rate(schedule, 1.0, step, steps)
    assert 0 <= rate <= 1.0 + 1e-12
    if step + 1 > min(warmup, steps):
        assert rate >= ratio - 1e-12
