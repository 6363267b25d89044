"""The cut and the order of pipeline work: complete, consistent, and no worse than the textbook schedules."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.parallel.stages import (
    SCHEDULES,
    balanced_cut,
    choose_pipeline,
    even_cut,
    forward_order,
    placement,
    simulate,
    work_order,
)

costs = st.lists(st.floats(0.1, 10.0), min_size=8, max_size=16)


@given(costs, st.integers(1, 8))
def test_cuts_are_contiguous_and_complete(costs: list[float], stages: int) -> None:
    for cut in (even_cut(len(costs), stages), balanced_cut(costs, stages)):
        assert len(cut) == stages
        assert all(len(layers) > 0 for layers in cut)
        assert [layer for layers in cut for layer in layers] == list(range(len(costs)))


@given(costs, st.integers(1, 8))
def test_the_balanced_cut_is_no_worse_than_the_even_one(costs: list[float], stages: int) -> None:
    def worst(cut: tuple[range, ...]) -> float:
        return max(sum(costs[layer] for layer in layers) for layers in cut)

    assert worst(balanced_cut(costs, stages)) <= worst(even_cut(len(costs), stages)) + 1e-9


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(SCHEDULES), st.integers(2, 4), st.integers(1, 12), st.data())
def test_every_pass_runs_once_on_its_rank_after_what_it_needs(
    schedule: str, pp: int, micro: int, data: st.DataObject
) -> None:
    rank_of = placement(schedule, pp)
    stage_costs = data.draw(st.lists(st.floats(0.1, 5.0), min_size=len(rank_of), max_size=len(rank_of)))
    order = work_order(schedule, pp, micro)
    makespan, peak = simulate(order, stage_costs)  # raises if the order deadlocks
    tasks = [task for rank in order for task in rank]
    assert len(tasks) == len(set(tasks)) == 2 * len(rank_of) * micro
    assert all(rank_of[task.stage] == rank for rank, tasks in enumerate(order) for task in tasks)
    assert makespan >= 3 * micro * sum(stage_costs) / pp - 1e-9
    assert peak > 0


@given(st.sampled_from(SCHEDULES), st.integers(2, 4), st.integers(1, 6))
def test_evaluation_only_goes_forward(schedule: str, pp: int, micro: int) -> None:
    rank_of = placement(schedule, pp)
    order = forward_order(rank_of, micro)
    simulate(order, [1.0] * len(rank_of))
    assert sorted((task.stage, task.micro) for tasks in order for task in tasks) == [
        (stage, m) for stage in range(len(rank_of)) for m in range(micro)
    ]
    assert all(task.forward for tasks in order for task in tasks)


def test_one_stage_a_rank_gives_1f1b() -> None:
    order = work_order("1f1b", 4, 8)
    makespan, peak = simulate(order, [1.0] * 4)
    first = "".join("F" if task.forward else "B" for task in order[0])
    assert first == "FFF" + "FB" * 5 + "BBB"
    assert makespan == pytest.approx(3 * (8 + 3))  # (micro-batches + pp - 1) * (forward + backward)
    assert peak == 4


def test_two_stages_a_rank_shrink_the_bubble() -> None:
    bubble_of_1f1b = 3 * (4 - 1)
    for schedule, share, memory in (("interleaved", 0.5, 5.5), ("v", 0.67, 4.0)):
        makespan, peak = simulate(work_order(schedule, 4, 16), [0.5] * 8)
        assert makespan - 3 * 16 <= share * bubble_of_1f1b + 1e-9, schedule
        assert peak <= memory, schedule


def test_the_choice_counts_the_head_and_is_at_least_as_good_as_every_fixed_one() -> None:
    # T5-large, span corruption 512/114: decoder layers cost 0.42 of an encoder layer, the LM head 0.57.
    layers = [1.0] * 24 + [0.42] * 23 + [0.42 + 0.57]
    best = choose_pipeline(layers, 4, 16, "auto")
    fixed = {name: choose_pipeline(layers, 4, 16, name).efficiency for name in SCHEDULES}
    assert best.efficiency == max(fixed.values())
    even = even_cut(len(layers), 4)
    makespan, _ = simulate(work_order("1f1b", 4, 16), [sum(layers[i] for i in stage) for stage in even])
    assert best.efficiency > 1.15 * (3 * 16 * sum(layers) / (4 * makespan))


def test_too_few_layers_are_answered_with_both_numbers() -> None:
    with pytest.raises(UserError, match=r"needs 16 stages.*has 12 layers.*at most pp 6"):
        choose_pipeline([1.0] * 12, 8, 8, "v")
