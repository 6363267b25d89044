"""Steps that measure training steps of T5-large: ours through the real loop, Hugging Face's, and each op alone."""

import time
from dataclasses import replace

import torch
from torch._dynamo.utils import counters

from ...observe.peak import lookup
from ..clock import GIB
from ..kernels import bench_kernels
from ..loop_steps import bench_run, run_steps
from ..rivals import random_batch, run, weights
from ..training import AGREE, CASES, Case, preset_case, tiny_case
from .journal import Bench, Figure, Journal
from .trace import Trace

WARMUP, TIMED, TRACED = 4, 10, 2
"""Steps of ours: before timing, timed, and then under the profiler."""

OURS = "T5-large, micro 64"
"""The step whose losses the rivals' are compared with."""

COMPARED = 8
"""The step of training whose loss is compared."""

LOSS, SECONDS, MFU = f"loss of step {COMPARED}", "a step", "MFU"
"""Names of figures that other steps and the page look for."""

TOY_OPS = ("add, RMSNorm", "AdamW")


class Large:
    """T5-large 512/114, 64 samples a step, through the loop of a real run: time, MFU, memory, and 2 steps traced.

    Asserts that the loss falls, that nothing is compiled again after step 2, and, compiled, that losses are those of
    the eager run.
    """

    def __init__(self, micro: int, compiled: bool) -> None:
        self.micro, self.compiled = micro, compiled

    def __call__(self, bench: Bench) -> None:
        case, device = _case(bench), torch.device(bench.device)
        micro = max(1, case.samples // 2) if bench.dry else bench.micro or self.micro
        compiled = self.compiled and bench.compiled
        torch.compiler.set_stance(
            "force_eager" if bench.dry else "default"
        )  # compiling for CPUs takes too long
        run_config = bench_run(
            case.model, case.samples, micro, device=bench.device, precision="bf16", compile=compiled
        )
        batch = {name: tensor.cpu().numpy() for name, tensor in random_batch(case).items()}
        warmup, timed = (2, 6) if bench.dry else (WARMUP, TIMED)
        trace = Trace(device)
        times: dict[int, float] = {}
        graphs: dict[int, int] = {}

        def at(step: int) -> None:
            if step in (warmup, warmup + timed, warmup + timed + TRACED):
                _wait(device)
            if step == warmup + timed + TRACED:
                trace.stop()
            times[step], graphs[step] = time.perf_counter(), int(counters["stats"]["unique_graphs"])
            if step == warmup + timed:
                trace.start()

        first = weights(case.model, case.weights)
        records = run_steps(run_config, batch, warmup + timed + TRACED, at, device, first)
        bench.figure("micro-batch", micro)
        bench.figure("first two steps", round(times[2] - times[0], 2), "s")
        _speed(bench, case, (times[warmup + timed] - times[warmup]) / timed, device)
        if device.type == "cuda":
            bench.figure("most memory", round(torch.cuda.max_memory_allocated() / GIB, 2), "GiB")
        trace.tell(bench, TRACED)
        losses = [record["loss"] for record in records if "loss" in record]
        _loss(bench, losses)
        bench.holds("the loss falls", losses[-1] < losses[0], f"{losses[0]:.3f} -> {losses[-1]:.3f}")
        if compiled:
            bench.at_most("graphs compiled after step 2", graphs[warmup + timed] - graphs[2], 0)


class Rival:
    """One of rivals.RIVALS on the same batch and weights; its losses agree with ours."""

    def __init__(self, name: str, steps: int = 10) -> None:
        self.name, self.steps = name, steps

    def __call__(self, bench: Bench) -> None:
        case = _case(bench)
        case = (
            replace(case, warmup=2, steps=COMPARED - 2)
            if bench.dry
            else replace(case, warmup=3, steps=self.steps)
        )
        torch.compiler.set_stance("force_eager" if bench.dry else "default")
        outcome = run(self.name, case)
        bench.figure("micro-batch", outcome.micro_batch)
        _speed(bench, case, outcome.seconds, torch.device(bench.device))
        bench.figure("most memory", round(outcome.bytes / GIB, 2), "GiB")
        _loss(bench, outcome.losses)


def rooflines(bench: Bench) -> None:
    """`taixue bench kernels`, cut short: share of the roofline of each op, beside other ways to compute it."""
    minutes = 0.6
    ops = TOY_OPS if bench.dry else ()
    report = bench_kernels(bench.out / "kernels", minutes=minutes, dry_run=bench.dry, ops=ops)
    for row in report.rows:
        label = f"{row.op} {row.shape}: {row.variant}"
        if row.timing is None:
            bench.figure(label, row.note)
            continue
        bench.figure(label, round(row.timing.milliseconds, 4), "ms")
        if row.variant == "ours":
            bench.figure(f"{label}, roofline", round(row.roofline, 3))
            if row.error is not None:
                bench.at_most(f"{label}, error", row.error, 2e-2)


def _case(bench: Bench) -> Case:
    case = tiny_case() if bench.dry else preset_case(*CASES[0])
    return replace(case, weights=str(bench.work / "weights.safetensors"))


def _speed(bench: Bench, case: Case, seconds: float, device: torch.device) -> None:
    bench.figure(SECONDS, round(1e3 * seconds, 2), "ms")
    bench.figure("speed", round(case.samples * (case.source + case.target) / seconds), "tokens/s")
    peak = lookup(torch.cuda.get_device_name(), "bf16") if device.type == "cuda" else None
    if peak is not None:
        bench.figure(MFU, round(case.flops / seconds / peak, 4))


def _loss(bench: Bench, losses: list[float]) -> None:
    """Write the loss of step COMPARED down, and compare it with that of OURS, where that was measured."""
    loss = losses[COMPARED - 1]
    bench.figure(LOSS, round(loss, 5), "nats")
    ours = [
        line.value
        for line in Journal(bench.out).read()
        if isinstance(line, Figure) and line.what == LOSS and line.step == OURS and line.step != bench.step
    ]
    if ours:
        bench.at_most(f"{LOSS} beside ours, relative", abs(loss / float(ours[-1]) - 1), AGREE)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
