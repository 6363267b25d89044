"""`taixue bench host`: is a training step bound by the host? Answered without a GPU.

A model with as many layers as the real one, but so narrow that arithmetic vanishes, takes steps on the CPU; the fused
ops take their Triton path with kernels that do nothing (faked.py). What is left is what Python, autograd, FSDP and
dispatch cost for each micro-batch, whatever its size: a GPU that is faster than that waits.

Predicted MFU of T5-large 512/114 on an H100, by an estimate of the time its GPU needs (GPU_MILLISECONDS):
model FLOPs / peak / max(host, GPU). Times are CPU time of this process: compare figures of one machine only.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from taixue.base import files
from taixue.kernels import dispatch
from taixue.parallel import group

from ..config.schema import RunConfig, T5Config
from ..models import build_model, model_spec
from ..observe.peak import PEAK_TFLOPS
from ..optim import build_optimizer
from ..run.build import build_engine
from .counting import Waits, launches
from .faked import kernels_faked
from .loop_steps import bench_run, run_steps
from .rivals import random_batch
from .training import CASES, Case, preset_case

GPU_MILLISECONDS = {16: 67.0, 64: 255.0}
"""Of forward and backward of one micro-batch of T5-large 512/114 by its size, estimated for an H100 from its products,
attention and memory traffic; no GPU has measured it."""

OPTIMIZERS = ("adamw", "adamw-rms")

WAYS = {
    "our ops": (True, False),
    "reference": (False, False),
    "our ops, compiled": (True, True),
    "reference, compiled": (False, True),
}
"""Name -> (ops take their kernels' path, blocks are compiled)."""


@dataclass
class HostReport:
    """Milliseconds of CPU time unless said otherwise. micro_batch: forward and backward, by way. step: the real loop's
    step of one micro-batch with our ops. parts: what a step does beside forward and backward. launches: kernels of one
    layer, forward and backward, and by name. waits: where the host waits for the device in a step -> how often. mfu:
    predicted, by way and micro-batch.
    """

    layers: int
    torch: str
    micro_batch: dict[str, float] = field(default_factory=dict)
    step: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    launches: dict[str, tuple[int, int]] = field(default_factory=dict)
    kernels: dict[str, dict[str, int]] = field(default_factory=dict)
    waits: dict[str, int] = field(default_factory=dict)
    mfu: dict[str, dict[str, float]] = field(default_factory=dict)


def bench_host(
    *, layers: int = 24, repeat: int = 7, ways: Sequence[str] = tuple(WAYS), json: Path | None = None
) -> HostReport:
    """Measure and print. layers: of the encoder and of the decoder. repeat: timings of which the median counts.

    json: file to write the report to. UserError without triton.
    """
    report = HostReport(layers, torch.__version__)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        case = _narrow(layers)
        for way in ways:
            report.micro_batch[way] = _micro_batch(case, *WAYS[way], repeat)
        report.step = _step(case, repeat)
        report.parts = _parts(case, repeat)
        _count_launches(report)
        report.waits = _waits(_narrow(2))
    finally:
        torch.set_num_threads(threads)
    large = preset_case(*CASES[0])
    for way, host in report.micro_batch.items():
        report.mfu[way] = {str(micro): predicted(large, micro, host) for micro in GPU_MILLISECONDS}
    _print(report)
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        files.write(json, files.readable_json(asdict(report)))
    return report


def predicted(case: Case, micro: int, host: float) -> float:
    """MFU of micro-batches of `micro` samples for which the host needs `host` ms."""
    ideal = 1e3 * case.flops * micro / case.samples / (PEAK_TFLOPS["H100"]["bf16"] * 1e12)
    return ideal / max(host, GPU_MILLISECONDS[micro])


def _narrow(layers: int) -> Case:
    model = T5Config(
        vocab_size=64,
        d_model=16,
        d_kv=16,
        d_ff=16,
        num_heads=1,
        num_encoder_layers=layers,
        num_decoder_layers=layers,
    )
    return Case(f"{layers} + {layers} layers", model, 2, 8, 8, warmup=0, steps=0, device="cpu")


def _run(case: Case, compiled: bool = False, optimizer: str = "adamw") -> RunConfig:
    run = bench_run(case.model, case.samples, case.samples, device="cpu", precision="bf16", compile=compiled)
    values = run.model_dump()
    return RunConfig.model_validate(values | {"optimizer": values["optimizer"] | {"name": optimizer}})


def _micro_batch(case: Case, ours: bool, compiled: bool, repeat: int) -> float:
    """Forward and backward of one micro-batch by the runtime of a run, zeroing gradients included."""
    device = torch.device("cpu")
    with kernels_faked() if ours else dispatch.using("reference"):
        group.start(None, device, 600)
        try:
            spec = model_spec(case.model, 1, (case.source, case.target))
            engine = build_engine(_run(case, compiled), spec, device)
            engine.set_weights(spec.init)
            batch, counts = random_batch(case), torch.tensor([case.samples * case.target])
            return _milliseconds(lambda: engine.runtime.forward_backward(batch, counts), repeat)
        finally:
            group.stop()
            torch.compiler.reset()


def _step(case: Case, repeat: int) -> float:
    """A step of the real loop, one micro-batch, with our ops: the median of `repeat`, after two."""
    times: list[float] = []
    batch = {name: tensor.numpy() for name, tensor in random_batch(case).items()}
    with kernels_faked(finite=True):
        run_steps(
            _run(case), batch, repeat + 2, lambda step: times.append(time.process_time()), torch.device("cpu")
        )
    return 1e3 * median(after - before for before, after in pairwise(times[2:]))


def _parts(case: Case, repeat: int) -> dict[str, float]:
    """The gradient norm, each optimizer's step with clipping, and dropping gradients, on gradients of one."""
    device, found = torch.device("cpu"), {}
    with kernels_faked():
        group.start(None, device, 600)
        try:
            spec = model_spec(case.model, 1, (case.source, case.target))
            runtime = build_engine(_run(case), spec, device).runtime
            runtime.load(spec.init)
            parameters = [parameter for _, parameter in runtime.named_parameters()]

            def give_gradients() -> None:
                for parameter in parameters:
                    parameter.grad = torch.ones_like(parameter)

            give_gradients()
            found["gradient norm"] = _milliseconds(runtime.grad_norm, repeat)
            scale = torch.tensor(0.5, dtype=torch.float64)
            for name in OPTIMIZERS:
                optimizer = build_optimizer(_run(case, optimizer=name).optimizer, runtime.named_parameters())
                found[f"{name} step"] = _milliseconds(lambda: optimizer.step(scale=scale), repeat)  # noqa: B023
            found["zero_grad"] = _milliseconds(runtime.zero_grad, repeat, before=give_gradients)
        finally:
            group.stop()
    return found


def _milliseconds(
    work: Callable[[], object], repeat: int, before: Callable[[], object] = lambda: None
) -> float:
    """CPU time of a call, the median of `repeat` after two that are not counted; `before` is called before each."""
    times = []
    for _ in range(repeat + 2):
        before()
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return 1e3 * median(times[2:])


def _count_launches(report: HostReport) -> None:
    """Kernels of one more encoder layer and of one more decoder layer, by a model alone: no FSDP, no accumulation."""
    for stack in ("encoder", "decoder"):
        counts = []
        for layers in (2, 3):
            case = _narrow(2)
            values = case.model.model_dump() | {f"num_{stack}_layers": layers}
            counts.append(_forward_and_backward(T5Config(**values), random_batch(case)))
        forward, backward = (after - before for before, after in zip(*counts, strict=True))
        report.launches[stack] = forward.total(), backward.total()
        report.kernels[f"{stack} forward"] = dict(forward.most_common())
        report.kernels[f"{stack} backward"] = dict(backward.most_common())


def _forward_and_backward(config: T5Config, batch: dict[str, Tensor]) -> tuple[Counter[str], Counter[str]]:
    model = build_model(config).to(torch.bfloat16).train()
    losses: list[Tensor] = []
    with kernels_faked():
        model(**batch)  # what is made once is made
    forward = launches(lambda: losses.append(model(**batch).sum()))
    return forward, launches(lambda: losses[0].backward())


def _waits(case: Case) -> dict[str, int]:
    """Of the third of four steps of the real loop with our ops."""
    arrays = {name: tensor.numpy() for name, tensor in random_batch(case).items()}
    waits = Waits(arrays.values())

    def at(step: int) -> None:
        if step == 2:
            waits.__enter__()
        if step == 3:
            waits.__exit__(None, None, None)

    with kernels_faked(finite=True):
        run_steps(_run(case), arrays, 4, at, torch.device("cpu"))
    return dict(sorted(waits.found.items()))


def _print(report: HostReport) -> None:
    console = Console(highlight=False)
    layers = f"{report.layers} + {report.layers} layers"
    table = Table(title=f"Host time of a micro-batch, {layers}, torch {report.torch}")
    for name in ("way", "ms", *(f"MFU at {micro}" for micro in GPU_MILLISECONDS), "bound by"):
        table.add_column(name, justify="left" if name in ("way", "bound by") else "right")
    for way, host in report.micro_batch.items():
        shares = [f"{share:.0%}" for share in report.mfu[way].values()]
        bound = [f"{micro}: {'host' if host > gpu else 'GPU'}" for micro, gpu in GPU_MILLISECONDS.items()]
        table.add_row(way, f"{host:.0f}", *shares, ", ".join(bound))
    console.print(table)
    estimates = ", ".join(f"{gpu:g} ms for {micro} samples" for micro, gpu in GPU_MILLISECONDS.items())
    console.print(f"MFU: T5-large 512/114 on an H100, whose GPU would take {estimates} (estimated).")
    console.print(f"The real loop's step of one micro-batch, our ops: {report.step:.0f} ms")
    for part, milliseconds in report.parts.items():
        console.print(f"  {part}: {milliseconds:.1f} ms")
    for stack, (forward, backward) in report.launches.items():
        console.print(f"Kernel launches of one {stack} layer: {forward} forward, {backward} backward")
    console.print(f"The host waits for the device {sum(report.waits.values())} times a step:")
    for place, times in report.waits.items():
        console.print(f"  {times} x {place}")
