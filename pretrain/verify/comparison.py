"""`taixue verify`: any layout of ranks against one process, in float64, on the CPU of this machine.

The model is the run's own family and options, dropout too, in a small shape; what is compared is what parallelism could
break: the loss, every gradient, the gradient norm, and the weights after a few clipped AdamW steps. The one process
takes a whole batch at once, the layouts take it in micro-batches.

With kernels "interpret" the layouts compute in fp32 with the Triton kernels, interpreted, and the one process in
float64 without them; the tolerances are those of fp32.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, isfinite, lcm

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.utils.hooks import RemovableHandle

from taixue.kernels import dispatch
from taixue.kernels.dispatch.interpreter import prepare as prepare_interpreter
from taixue.kernels.dropout.places import Streams
from taixue.parallel.mesh import Layout
from taixue.parallel.runtime import Runtime
from taixue.parallel.shared import local
from taixue.parallel.spawn import run_ranks

from ..config.schema import ModelConfig, RunConfig
from ..models import FAMILIES, ModelSpec, build_model, model_spec
from ..models.family import Small
from ..run.predictions import as_tensors, predictions
from .batch import TARGET, random_batch
from .layouts import describe, parse_layout

LAYOUTS = ("tp2", "pp2", "dp2", "tp2xpp2", "tp2xdp2", "pp2xdp2", "tp2xpp2xdp2", "hsdp2x2")
"""What is verified when nothing is named."""

GRADIENT_TOLERANCE = 1e-12
WEIGHT_TOLERANCE = 1e-10
"""AdamW divides by the root of tiny second moments, which magnifies rounding. Weights smaller than the learning rate
are measured against it."""

FP32_TOLERANCE = 1e-5
"""Of losses, gradient norm and gradients where kernels compute in fp32."""

FP32_WEIGHT_TOLERANCE = 1e-3

_STEPS, _MICRO_BATCHES, _LEARNING_RATE, _DEADLINE = 3, 4, 1e-2, 300.0
_SEED = 2**40 + 7


@dataclass(frozen=True)
class Difference:
    """One layout beside one process. loss: of the layout, step 1; the others are largest relative differences."""

    layout: Layout
    loss: float
    loss_difference: float
    gradient: float
    worst_parameter: str
    norm: float
    weights: float
    kernels: str = "reference"

    @property
    def tolerances(self) -> tuple[float, float]:
        """Of gradients, of weights."""
        if self.kernels == "reference":
            return GRADIENT_TOLERANCE, WEIGHT_TOLERANCE
        return FP32_TOLERANCE, FP32_WEIGHT_TOLERANCE

    @property
    def equal(self) -> bool:
        gradient, weight = self.tolerances
        exact = (self.loss_difference, self.gradient, self.norm)
        return all(value <= gradient for value in exact) and self.weights <= weight


def verify(run: RunConfig, layouts: list[str] | None = None, kernels: str = "reference") -> bool:
    """Verify `layouts` (names like tp2xpp2xdp2, hsdp2x2, tp2xpp2:v, tp2:nosp; default LAYOUTS), print a table.

    A name without schedule or sequence-parallel choice stands for all of them. kernels: "reference" or "interpret".
    Returns whether all are equal.
    """
    if kernels == "interpret":
        prepare_interpreter()
    cases = [layout for name in layouts or LAYOUTS for layout in parse_layout(name)]
    console = Console(emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    differences = []
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("verifying", total=len(cases))
        for layout in cases:
            progress.update(task, description=describe(layout))
            differences.append(compare(small(run.model, layout), layout, kernels))
            progress.advance(task)
    console.print(_table(run.model.family, differences))
    failed = [describe(difference.layout) for difference in differences if not difference.equal]
    if failed:
        console.print(
            f"[red]{len(failed)} of {len(cases)} layouts differ from one process:[/] {', '.join(failed)}"
        )
    else:
        gradient, weight = differences[0].tolerances
        arithmetic = "float64" if kernels == "reference" else "fp32 kernels, interpreted, beside float64"
        console.print(
            f"all {len(cases)} layouts equal one process: gradients to {gradient:g}, "
            f"weights after {_STEPS} AdamW steps to {weight:g} (relative, {arithmetic})"
        )
    return not failed


def small(model: ModelConfig, layout: Layout) -> ModelConfig:
    """The model's options in a shape that is cheap on a CPU and fits the stages and ranks of the layout: what is found
    of a layout does not depend on what else is verified."""
    every_second = 2 if model.features.bias_heads else 1  # some heads with a group bias on every rank
    heads = lcm(4, layout.tp * every_second)
    return FAMILIES.of(model).small(model, Small(layout.pp, heads, _source_length(layout)))


def _source_length(layout: Layout) -> int:
    """About 16, and a multiple of tp, which shards it."""
    return -(-16 // layout.tp) * layout.tp


def compare(model: ModelConfig, layout: Layout, kernels: str = "reference") -> Difference:
    """Run `layout` on local gloo ranks; every rank compares all it holds with what one process computed."""
    samples = _MICRO_BATCHES * layout.dp_replicate * layout.dp_shard
    expected = reference(model, samples, _source_length(layout))
    findings = run_ranks(_compare, layout.world, model, layout, kernels, expected, deadline=_DEADLINE)
    held = {name for _, names in findings for name in names}
    missing = [name for name in _names(model) if name not in held]
    assert not missing, f"no rank holds {missing}"
    differences = [difference for difference, _ in findings]
    worst = max(differences, key=lambda difference: difference.gradient)
    fields = ("loss_difference", "gradient", "norm", "weights")
    return replace(worst, **{name: max(getattr(d, name) for d in differences) for name in fields})


def _names(model: ModelConfig) -> list[str]:
    with torch.device("meta"):
        return [name for name, _ in build_model(model).named_parameters()]


def _batches(model: ModelConfig, samples: int, source: int) -> list[dict[str, Tensor]]:
    return [random_batch(model, samples, step, source) for step in range(_STEPS)]


def _compare(
    model: ModelConfig, layout: Layout, kernels: str, expected: "Reference"
) -> tuple[Difference, list[str]]:
    """On one rank of a started group: the differences of what it holds, and the names of that."""
    samples = _MICRO_BATCHES * layout.dp_replicate * layout.dp_shard
    with dispatch.using(kernels):
        return _beside(expected, model, layout, _batches(model, samples, _source_length(layout)))


def _beside(
    expected: "Reference", model: ModelConfig, layout: Layout, batches: list[dict[str, Tensor]]
) -> tuple[Difference, list[str]]:
    kernels, lengths = dispatch.mode(), (_source_length(layout), TARGET)
    samples = len(batches[0]["labels"])
    spec, cpu = _spec(model, lengths), torch.device("cpu")
    dtype, floor = torch.float64, 0.0
    if kernels != "reference":  # fp32 leaves larger noise in what is zero in exact arithmetic
        dtype, floor = (
            torch.float32,
            1e-3 * max(np.abs(grad).max().item() for grad in expected.grads.values()),
        )
    runtime = Runtime(spec, layout, cpu, micro_batches=_MICRO_BATCHES, dtype=dtype)
    named = runtime.named_parameters()  # a name occurs twice where two stages of this rank hold replicas
    shards = [local(parameter).detach() for _, parameter in named]
    optimizer = _adamw(shards)  # element by element: DTensors would only cost time
    gradient, worst, norm, losses = 0.0, "", 0.0, []
    for step, batch in enumerate(batches):
        runtime.seed(_SEED, step)
        size = samples // runtime.mesh.dp_size
        block = slice(runtime.mesh.dp_rank * size, (runtime.mesh.dp_rank + 1) * size)
        mean = runtime.forward_backward(
            {name: value[block] for name, value in batch.items()}, counts(model, batch)
        )
        assert mean is not None
        losses.append(mean.sum().item())
        norm = max(norm, _relative(runtime.grad_norm().item(), expected.norms[step]))
        if step == 0:
            grads = [(name, _full(p.grad)) for name, p in named]
            gradient, worst = worst_difference(grads, as_tensors(expected.grads), floor, expected.sums)
        runtime.scale_grads((1.0 / (runtime.grad_norm() + 1e-6)).clamp(max=1.0))
        for shard, (_, p) in zip(shards, named, strict=True):
            shard.grad = None if p.grad is None else local(p.grad)
        optimizer.step()
    weights, _ = worst_difference(
        [(name, _full(p)) for name, p in named], as_tensors(expected.weights), _LEARNING_RATE
    )
    loss_difference = max(abs(a - b) / abs(b) for a, b in zip(losses, expected.losses, strict=True))
    difference = Difference(layout, losses[0], loss_difference, gradient, worst, norm, weights, kernels)
    return difference, [name for name, _ in named]


def _full(tensor: Tensor | None) -> Tensor:
    assert isinstance(tensor, DTensor)
    return tensor.full_tensor()


def _spec(model: ModelConfig, lengths: tuple[int, int]) -> ModelSpec:
    """The model's, with scales that training starts at 0 at a half: what they multiply has a gradient at once."""
    spec = model_spec(model, 1, lengths)

    def init(name: str, shape: tuple[int, ...]) -> Tensor:
        value = spec.init(name, shape)
        return value + 0.5 if name.endswith(("scale.weight", "group_bias.weight")) else value

    return replace(spec, init=init)


@dataclass(frozen=True)
class Reference:
    """What one process found: losses and gradient norms by step, gradients of the first step, weights after the last;
    arrays, for they go through a pipe."""

    losses: list[float]
    norms: list[float]
    grads: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    sums: dict[str, float]
    """Of biases: see _add_magnitudes."""


@lru_cache(maxsize=16)  # layouts with as many data-parallel ranks share it
def reference(model: ModelConfig, samples: int, source: int) -> Reference:
    """The plain model in this process, without kernels and without any parallel code, in float64."""
    spec = _spec(model, (1, 1))
    module = build_model(model).double()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(spec.init(name, tuple(parameter.shape)))
    streams = Streams(module)
    streams.open(torch.device("cpu"))
    numbers = {"samples": torch.arange(samples)} if streams else {}
    optimizer = _adamw(module.parameters())
    found = Reference([], [], {}, {}, {})
    with dispatch.using("reference"):
        for step, batch in enumerate(_batches(model, samples, source)):
            streams.seed(_SEED, step)
            optimizer.zero_grad()
            watching = _add_magnitudes(module, found.sums) if step == 0 else []
            loss = (module(**batch, **numbers) / counts(model, batch)).sum()
            loss.backward()
            for hook in watching:
                hook.remove()
            if not found.losses:
                found.grads.update(
                    {
                        n: p.grad.numpy(force=True).copy()
                        for n, p in module.named_parameters()
                        if p.grad is not None
                    }
                )
            found.losses.append(loss.item())
            found.norms.append(torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0).item())
            optimizer.step()
    found.weights.update({name: parameter.numpy(force=True) for name, parameter in module.named_parameters()})
    return found


def _add_magnitudes(module: torch.nn.Module, sums: dict[str, float]) -> list[RemovableHandle]:
    """Note, in the next backward pass, the scale of the rounding in the gradient of each bias.

    The gradient of a bias b of y = W x + b is the sum of dL/dy over the N tokens of the batch. Whatever the order, that
    sum is right to N eps S, S = sum over tokens of |dL/dy| (Higham, Accuracy and Stability of Numerical Algorithms,
    section 4.2), even where its terms cancel to exactly zero, as those of a key bias do: softmax does not see what is
    added to all scores of a query. sums: name of the bias -> the largest entry of S, over all uses of the layer.
    """

    def watch(name: str, layer: torch.nn.Module) -> RemovableHandle:
        def add(gradient: Tensor) -> None:
            entries = gradient.abs().reshape(-1, gradient.shape[-1]).sum(0)
            sums[name] = sums.get(name, 0.0) + entries.max().item()

        def called(_: object, __: object, output: object) -> None:
            if isinstance(output, Tensor) and output.shape[-1:] == layer.bias.shape:
                output.register_hook(add)

        return layer.register_forward_hook(called)

    return [
        watch(f"{name}.bias", layer)
        for name, layer in module.named_modules()
        if isinstance(getattr(layer, "bias", None), torch.nn.Parameter)
    ]


def worst_difference(
    values: Iterable[tuple[str, Tensor]],
    reference: Mapping[str, Tensor],
    floor: float = 0.0,
    sums: Mapping[str, float] | None = None,
) -> tuple[float, str]:
    """Largest difference of a tensor relative to that tensor's largest entry, and its name; inf for NaN.

    Entries below `floor`, by default a millionth of the largest of all, are measured against the floor: a tensor that
    is zero in exact arithmetic (the gradient of a key bias) must not be compared with its own rounding noise. Those in
    `sums` are measured against what is said there, too: the magnitudes whose sum the tensor is.
    """
    floor = floor or 1e-6 * max(tensor.abs().max().item() for tensor in reference.values())
    worst = (0.0, "")
    for name, value in values:
        expected = reference[name]
        scale = max(expected.abs().max().item(), floor, (sums or {}).get(name, 0.0))
        difference = (value - expected).abs().max().item() / scale
        worst = max(worst, (difference if isfinite(difference) else inf, name))
    return worst


def _relative(value: float, reference: float) -> float:
    return abs(value - reference) / abs(reference)


def _adamw(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=_LEARNING_RATE, weight_decay=0.01, foreach=False)


def counts(model: ModelConfig, batch: Mapping[str, Tensor]) -> Tensor:
    """Predictions in the batch, one count for each loss, float64."""
    return predictions(batch, FAMILIES.of(model).losses(model)).double()


def _table(family: str, differences: list[Difference]) -> Table:
    arithmetic = "float64" if differences[0].kernels == "reference" else "fp32 with kernels beside float64"
    table = Table(title=f"{family}: layouts beside one process, {arithmetic}")
    for heading in ("layout", "ranks", "loss", "loss diff", "worst gradient", "grad norm", "weights", ""):
        table.add_column(heading, justify="left" if heading == "layout" else "right", no_wrap=True)
    for d in differences:
        verdict = "[green]equal[/]" if d.equal else f"[red]DIFFERS[/] {d.worst_parameter}"
        row = [f"{value:.1e}" for value in (d.loss_difference, d.gradient, d.norm, d.weights)]
        table.add_row(describe(d.layout), str(d.layout.world), f"{d.loss:.6f}", *row, verdict)
    return table
