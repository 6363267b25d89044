"""`taixue bench head`: full training steps of one run, the LM head on positions of labels beside the head on all.

Both engines begin with the same weights and take the same steps on one made-up batch, turn about, in one process on one
device: forward, backward, clipping and the run's optimizer. Losses must agree; a speed is the ratio of their medians,
on a CPU in CPU-seconds, in which other work on the machine counts less.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor

from taixue.base import UserError
from taixue.parallel import group
from taixue.parallel.native import NativeEngine

from ..config.schema import ParallelConfig, RunConfig
from ..models import FAMILIES, model_spec
from ..run.build import build_engine, choose_device
from ..run.predictions import loss_weights, max_predictions, predictions
from .clock import describe


@dataclass
class Head:
    """One way to run the head. flops: model FLOPs of a sample, forward; seconds and losses: by step."""

    positions: int
    flops: float
    engine: NativeEngine
    batch: Mapping[str, Tensor]
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def bench_head(run: RunConfig, steps: int) -> str:
    """The table. steps: timed ones of each, after one that is not. UserError for a run whose head sees all anyway."""
    most, length = max_predictions(run), run.objective.input_length
    if not most:
        raise UserError(
            f"model.family {run.model.family} with objective.kind {run.objective.kind}: its head sees all positions; "
            "bert or albert with mlm has two ways to compare"
        )
    if steps < 1:
        raise UserError(f"--rounds {steps}; at least 1 is needed")
    run = run.model_copy(update={"parallel": ParallelConfig()})
    device = choose_device(run, None)
    group.start(None, device, run.parallel.timeout_seconds)
    try:
        heads = [_head(run, device, (length, positions)) for positions in (0, most)]
        for _ in range(1 + steps):
            for head in heads:
                _step(run, head, time.perf_counter if device.type == "cuda" else time.process_time)
    finally:
        group.stop()
    return _table(run, device, heads)


def _head(run: RunConfig, device: torch.device, lengths: tuple[int, int]) -> Head:
    spec, family = model_spec(run.model, run.seed, lengths), FAMILIES.of(run.model)
    engine = build_engine(run, spec, device)
    engine.set_weights(spec.init)
    given = (lengths[0], max_predictions(run))
    batch = family.probe(run.model, run.batch.global_size, 0, given)
    left_out = {"attention_mask"} | (set() if lengths[1] else {"label_positions"})  # windows are full of text
    batch = {name: tensor for name, tensor in batch.items() if name not in left_out}
    return Head(lengths[1] or lengths[0], sum(spec.layer_costs), engine, batch)


def _step(run: RunConfig, head: Head, clock: Callable[[], float]) -> None:
    engine = head.engine
    counts = predictions(head.batch, FAMILIES.of(run.model).losses(run.model))
    factors = torch.tensor(list(loss_weights(run.objective, engine.loss_names).values()), dtype=torch.float64)
    begin = clock()
    engine.seed(run.seed, len(head.losses))
    update = engine.update(head.batch, counts, factors, run.optimizer.lr / 10)
    assert update is not None
    head.losses.append(
        (update.means.cpu() * factors).sum().item()
    )  # on the host: the device has done the work
    head.seconds.append(clock() - begin)


def _table(run: RunConfig, device: torch.device, heads: list[Head]) -> str:
    tokens = run.batch.global_size * run.objective.input_length
    precision = "float64" if run.compute.float64 else run.compute.precision
    lines = [
        f"{run.batch.global_size} x {run.objective.input_length} tokens a step, {precision}, "
        f"{describe(device)}, {torch.get_num_threads()} threads",
        f"{'positions':>9}  {'ms/step':>9}  {'tokens/s':>9}  {'faster':>6}  {'by FLOPs':>8}  loss",
    ]
    first, times = heads[0], [median(head.seconds[1:]) for head in heads]
    for head, seconds in zip(heads, times, strict=True):
        ratios = f"{times[0] / seconds:5.2f}x  {first.flops / head.flops:7.2f}x"
        cells = f"{head.positions:9d}  {1e3 * seconds:9,.1f}  {tokens / seconds:9,.0f}  {ratios}"
        lines.append(f"{cells}  {head.losses[-1]:.9g}")
    return "\n".join(lines)
