"""Cut a model into pipeline stages and choose the schedule, by simulating the costs. Pure Python, equal on every rank.

A stage is a contiguous range of layers. Schedules, with the work order of each rank:

  1f1b         one stage a rank (Narayanan et al. 2021, PipeDream-Flush)
  interleaved  two stages a rank, r and pp + r (Narayanan et al. 2021, Megatron-LM)
  v            two stages a rank, r and 2 pp - 1 - r; the order of zero-bubble V (Qi et al. 2023) with whole backward
               passes. First and last stage share a rank, hence embedding and LM head do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise

from taixue.base import UserError

BACKWARD_COST = 2.0
"""Cost of a backward pass relative to its forward pass (two matrix products for one)."""

SCHEDULES = ("1f1b", "interleaved", "v")


@dataclass(frozen=True)
class Task:
    """One pass of one micro-batch through one stage."""

    forward: bool
    stage: int
    micro: int


Order = tuple[tuple[Task, ...], ...]
"""What each rank does, in order."""


@dataclass(frozen=True)
class Pipeline:
    """A chosen cut and schedule. layers[s]: layers of stage s; rank_of[s]: its rank.

    efficiency: busy time / (pp * makespan) in the simulation; peak: most activations in flight on one rank, in units
    of the whole model's activations for one micro-batch.
    """

    schedule: str
    layers: tuple[range, ...]
    rank_of: tuple[int, ...]
    order: Order
    efficiency: float
    peak: float


def choose_pipeline(costs: Sequence[float], pp: int, micro_batches: int, schedule: str) -> Pipeline:
    """The best cut for `schedule`, or for "auto" the most efficient schedule; ties go to the least memory.

    costs: forward cost of each layer. Raises UserError when there are fewer layers than stages.
    """
    names = SCHEDULES if schedule == "auto" else (schedule,)
    candidates = [
        _evaluate(name, costs, cut, pp, micro_batches)
        for name in names
        if len(costs) >= stage_count(name, pp)
        for cut in {balanced_cut(costs, stage_count(name, pp)), even_cut(len(costs), stage_count(name, pp))}
    ]
    if not candidates:
        needed = stage_count(names[0], pp)
        raise UserError(
            f"parallel.pp {pp} with schedule {schedule} needs {needed} stages, but the model has {len(costs)} layers; "
            f"use at most pp {max(1, len(costs) * pp // needed)}."
        )
    return max(candidates, key=lambda p: (round(p.efficiency, 6), -round(p.peak, 6), p.schedule == "1f1b"))


def stage_count(schedule: str, pp: int) -> int:
    """Stages that a schedule needs ("auto": at least)."""
    return pp if schedule in ("1f1b", "auto") else 2 * pp


def placement(schedule: str, pp: int) -> tuple[int, ...]:
    """Rank of each stage."""
    return {
        "1f1b": tuple(range(pp)),
        "interleaved": (*range(pp), *range(pp)),
        "v": (*range(pp), *reversed(range(pp))),
    }[schedule]


def even_cut(layers: int, stages: int) -> tuple[range, ...]:
    """Stages with equal numbers of layers, to within one."""
    return tuple(range(a, b) for a, b in pairwise(stage * layers // stages for stage in range(stages + 1)))


def balanced_cut(costs: Sequence[float], stages: int) -> tuple[range, ...]:
    """The contiguous cut whose most expensive stage is cheapest."""
    total, prefix = len(costs), [0.0, *accumulate(costs)]

    @cache
    def best(start: int, left: int) -> tuple[float, tuple[int, ...]]:
        if left == 1:
            return prefix[total] - prefix[start], (total,)
        options = []
        for stop in range(start + 1, total - left + 2):
            worst, rest = best(stop, left - 1)
            options.append((max(prefix[stop] - prefix[start], worst), (stop, *rest)))
        return min(options)

    return tuple(range(a, b) for a, b in pairwise((0, *best(0, stages)[1])))


def work_order(schedule: str, pp: int, micro_batches: int) -> Order:
    """The published order of each schedule, for any number of micro-batches."""
    make = {"1f1b": _order_1f1b, "interleaved": _order_interleaved, "v": _order_v}[schedule]
    return tuple(tuple(make(rank, pp, micro_batches)) for rank in range(pp))


def forward_order(rank_of: Sequence[int], micro_batches: int) -> Order:
    """For evaluation: every rank takes micro-batches in turn, each through its stages as soon as it can be there."""
    return tuple(
        tuple(
            sorted(
                (
                    Task(True, stage, m)
                    for stage, r in enumerate(rank_of)
                    if r == rank
                    for m in range(micro_batches)
                ),
                key=lambda task: (task.micro + task.stage, task.stage),
            )
        )
        for rank in range(max(rank_of) + 1)
    )


def simulate(order: Order, stage_costs: Sequence[float]) -> tuple[float, float]:
    """(makespan, peak activations on one rank) of an order on stages of these forward costs; messages cost nothing.

    Raises RuntimeError if the order deadlocks.
    """
    finished: dict[Task, float] = {}
    clock, position = [0.0] * len(order), [0] * len(order)
    held, peak = [0.0] * len(order), 0.0
    left = sum(len(tasks) for tasks in order)
    while left:
        before = left
        for rank, tasks in enumerate(order):
            while position[rank] < len(tasks):
                task = tasks[position[rank]]
                needs = _needs(task, len(stage_costs))
                if any(need not in finished for need in needs):
                    break
                cost = stage_costs[task.stage]
                start = max([clock[rank], *(finished[need] for need in needs)])
                clock[rank] = finished[task] = start + (cost if task.forward else BACKWARD_COST * cost)
                held[rank] += cost if task.forward else -cost
                peak = max(peak, held[rank])
                position[rank] += 1
                left -= 1
        if left == before:
            raise RuntimeError("the order of passes deadlocks")
    return max(clock), peak


def _needs(task: Task, stages: int) -> list[Task]:
    """The passes whose results `task` works on."""
    if task.forward:
        return [Task(True, task.stage - 1, task.micro)] if task.stage else []
    later = [Task(False, task.stage + 1, task.micro)] if task.stage < stages - 1 else []
    return [Task(True, task.stage, task.micro), *later]


def _evaluate(
    schedule: str, costs: Sequence[float], cut: tuple[range, ...], pp: int, micro_batches: int
) -> Pipeline:
    order = work_order(schedule, pp, micro_batches)
    makespan, peak = simulate(order, [sum(costs[layer] for layer in layers) for layers in cut])
    busy = (1 + BACKWARD_COST) * sum(costs) * micro_batches
    return Pipeline(schedule, cut, placement(schedule, pp), order, busy / (pp * makespan), peak / sum(costs))


def _alternate(forwards: Sequence[Task], backwards: Sequence[Task], ahead: int) -> list[Task]:
    """`ahead` forward passes, then one forward and one backward in turn, then the remaining backward passes."""
    tasks = list(forwards[:ahead])
    for index, backward in enumerate(backwards):
        tasks += [*forwards[ahead + index : ahead + index + 1], backward]
    return tasks


def _order_1f1b(rank: int, pp: int, micro_batches: int) -> list[Task]:
    micros = range(micro_batches)
    return _alternate(
        [Task(True, rank, m) for m in micros], [Task(False, rank, m) for m in micros], pp - rank - 1
    )


def _order_interleaved(rank: int, pp: int, micro_batches: int) -> list[Task]:
    """Rounds of about pp micro-batches go through the rank's first stage, then through its second."""
    rounds = max(1, micro_batches // pp)
    bounds = pairwise(r * micro_batches // rounds for r in range(rounds + 1))
    forwards: list[Task] = []
    backwards: list[Task] = []
    longest = 0
    for start, stop in bounds:
        longest = max(longest, stop - start)
        forwards += [Task(True, stage, m) for stage in (rank, pp + rank) for m in range(start, stop)]
        backwards += [Task(False, stage, m) for stage in (pp + rank, rank) for m in range(start, stop)]
    return _alternate(forwards, backwards, min(len(forwards), 2 * (pp - rank - 1) + longest))


def _order_v(rank: int, pp: int, micro_batches: int) -> list[Task]:
    """Written for enough micro-batches to fill the pipeline; the ones that do not exist are left out."""
    down, up = rank, 2 * pp - 1 - rank
    filled = max(2 * pp - 1, micro_batches)
    count = {(forward, stage): 0 for forward in (True, False) for stage in (down, up)}
    tasks: list[Task] = []

    def add(forward: bool, stage: int) -> None:
        tasks.append(Task(forward, stage, count[forward, stage]))
        count[forward, stage] += 1

    for _ in range(2 * (pp - rank) - 1):
        add(True, down)
    for _ in range(rank):
        add(True, up)
        add(True, down)
    for _ in range(pp - rank):
        add(True, up)
        add(False, up)
    while count[True, up] < filled:
        if count[True, down] < filled:
            add(True, down)
        add(False, down)
        add(True, up)
        add(False, up)
    for _ in range(rank):
        add(False, down)
        add(False, up)
    for _ in range(pp - rank):
        add(False, down)
    return [task for task in tasks if task.micro < micro_batches]
