"""`taixue verify`: any layout of ranks against one process, in float64, on the CPU of this machine.

The model is the run's own family and options in a small shape; what is compared is what parallelism could break: the
loss, every gradient, the gradient norm, and the weights after a few clipped AdamW steps.

With kernels "interpret" the layouts compute in fp32 with the Triton kernels, interpreted, and the one process in
float64 without them; the tolerances are those of fp32.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, lcm

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch import Tensor
from torch.distributed.tensor import DTensor

from taixue import UserError
from taixue.kernels import dispatch
from taixue.kernels.dispatch.interpreter import prepare as prepare_interpreter
from taixue.kernels.loss import IGNORE
from taixue.parallel.mesh import Layout
from taixue.parallel.runtime import Runtime
from taixue.parallel.spawn import run_ranks
from taixue.parallel.stages import SCHEDULES

from ..config.schema import BertConfig, RunConfig, T5Config
from ..models import ModelSpec, build_model, model_spec
from ..run.predictions import LABELS
from .batch import TARGET, random_batch

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
    model = small(run.model, cases)
    console = Console(emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    differences = []
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("verifying", total=len(cases))
        for layout in cases:
            progress.update(task, description=describe(layout))
            differences.append(compare(model, layout, kernels))
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


def parse_layout(name: str) -> list[Layout]:
    """Layouts meant by a name: parts tpN, ppN, dpN or hsdpRxS joined by x, then optional :schedule, :sp or :nosp."""
    axes, *options = name.split(":")
    pattern = r"(?:(?:tp\d+|pp\d+|dp\d+|hsdp\d+x\d+)(?:x|$))+"
    schedules = [option for option in options if option in SCHEDULES]
    sequence = [option == "sp" for option in options if option in ("sp", "nosp")]
    if (
        not re.fullmatch(pattern, axes)
        or axes.endswith("x")
        or len(schedules) + len(sequence) != len(options)
    ):
        raise UserError(
            f"layout {name!r} is not understood: join tpN, ppN, dpN or hsdpRxS by x, then add :1f1b, :interleaved, "
            f":v, :sp or :nosp, for example tp2xpp2:v:sp or hsdp2x2"
        )
    size, (replicate, shard) = dict[str, int](), (1, 0)
    for part in re.finditer(r"hsdp(\d+)x(\d+)|(tp|pp|dp)(\d+)", axes):
        if part[1]:
            replicate, shard = int(part[1]), int(part[2])
        else:
            size[part[3]] = int(part[4])
    base = Layout(
        pp=size.get("pp", 1),
        dp_replicate=replicate,
        dp_shard=shard or size.get("dp", 1),
        tp=size.get("tp", 1),
    )
    return [
        replace(base, schedule=schedule, sequence_parallel=sharded)
        for schedule in (schedules or SCHEDULES if base.pp > 1 else ("auto",))
        for sharded in (sequence or (True, False) if base.tp > 1 else (False,))
    ]


def describe(layout: Layout) -> str:
    """The name of one layout, as parse_layout reads it."""
    sizes = [f"tp{layout.tp}"] * (layout.tp > 1) + [f"pp{layout.pp}"] * (layout.pp > 1)
    if layout.dp_replicate > 1:
        sizes.append(f"hsdp{layout.dp_replicate}x{layout.dp_shard}")
    elif layout.dp_shard > 1 or not sizes:
        sizes.append(f"dp{layout.dp_shard}")
    options = [layout.schedule] * (layout.pp > 1) + [("sp" if layout.sequence_parallel else "nosp")] * (
        layout.tp > 1
    )
    return ":".join(["x".join(sizes), *options])


def small(model: T5Config | BertConfig, layouts: Sequence[Layout]) -> T5Config | BertConfig:
    """The model's options in a shape that is cheap on a CPU and fits the stages and ranks of every layout."""
    pp = max(layout.pp for layout in layouts)
    every_second = 2 if model.features.bias_heads else 1  # some heads with a group bias on every rank
    all_heads = lcm(4, *(layout.tp * every_second for layout in layouts))
    features = {name: min(getattr(model.features, name), 6) for name in ("pos_tags", "roles")}
    features |= {"bias_heads": all_heads // 2} if model.features.bias_heads else {}
    features |= {"bias_layers": (1,)} if model.features.bias_layers else {}
    shape = {
        "features": model.features.model_copy(update=features),
        "vocab_size": 24 * all_heads,
        "d_model": 8 * all_heads,
        "d_ff": 12 * all_heads,
        "num_heads": all_heads,
        "dropout": 0.0,
    }
    if isinstance(model, T5Config):
        encoder, decoder = (min(n, max(2, pp)) for n in (model.num_encoder_layers, model.num_decoder_layers))
        if (
            encoder + decoder < 2 * pp
        ):  # the run itself has too few layers for two stages a rank: verify as if not
            encoder = decoder = pp
        layers = {"num_encoder_layers": encoder, "num_decoder_layers": decoder, "d_kv": 4}
        return model.model_copy(
            update={**shape, **layers, "relative_buckets": 8, "relative_max_distance": 12}
        )
    positions = max(_source_length(layout) for layout in layouts)
    classes = {name: min(count, 5) for name, count in model.heads.model_dump().items()}
    heads = model.heads.model_copy(update=classes)
    knowledge = {"knowledge_width": min(model.knowledge_width, 6)}
    layers = {"num_layers": max(4, 2 * pp), "max_positions": positions}
    return model.model_copy(update={**shape, **layers, **knowledge, "heads": heads})


def _source_length(layout: Layout) -> int:
    """About 16, and a multiple of tp, which shards it."""
    return -(-16 // layout.tp) * layout.tp


def compare(model: T5Config | BertConfig, layout: Layout, kernels: str = "reference") -> Difference:
    """Run `layout` on local gloo ranks; every rank compares all it holds with its own single-process reference."""
    findings = run_ranks(_compare, layout.world, model, layout, kernels, deadline=_DEADLINE)
    held = {name for _, names in findings for name in names}
    missing = [name for name in _names(model) if name not in held]
    assert not missing, f"no rank holds {missing}"
    differences = [difference for difference, _ in findings]
    worst = max(differences, key=lambda difference: difference.gradient)
    fields = ("loss_difference", "gradient", "norm", "weights")
    return replace(worst, **{name: max(getattr(d, name) for d in differences) for name in fields})


def _names(model: T5Config | BertConfig) -> list[str]:
    with torch.device("meta"):
        return [name for name, _ in build_model(model).named_parameters()]


def _compare(model: T5Config | BertConfig, layout: Layout, kernels: str) -> tuple[Difference, list[str]]:
    """On one rank of a started group: the differences of what it holds, and the names of that."""
    lengths = (_source_length(layout), TARGET)
    samples = _MICRO_BATCHES * layout.dp_replicate * layout.dp_shard
    batches = [random_batch(model, samples, step, lengths[0]) for step in range(_STEPS)]
    with dispatch.using("reference"):
        expected = _Reference(model, batches)
    with dispatch.using(kernels):
        return _beside(expected, model, layout, batches)


def _beside(
    expected: "_Reference", model: T5Config | BertConfig, layout: Layout, batches: list[dict[str, Tensor]]
) -> tuple[Difference, list[str]]:
    kernels, lengths = dispatch.mode(), (_source_length(layout), TARGET)
    samples = len(batches[0]["labels"])
    spec, cpu = _spec(model, lengths), torch.device("cpu")
    dtype, floor = torch.float64, 0.0
    if kernels != "reference":  # fp32 leaves larger noise in what is zero in exact arithmetic
        dtype, floor = torch.float32, 1e-3 * max(grad.abs().max().item() for grad in expected.grads.values())
    runtime = Runtime(spec, layout, cpu, micro_batches=_MICRO_BATCHES, dtype=dtype)
    named = runtime.named_parameters()  # a name occurs twice where two stages of this rank hold replicas
    optimizer = _adamw(parameter for _, parameter in named)
    gradient, worst, norm, losses = 0.0, "", 0.0, []
    for step, batch in enumerate(batches):
        size = samples // runtime.mesh.dp_size
        block = slice(runtime.mesh.dp_rank * size, (runtime.mesh.dp_rank + 1) * size)
        mean = runtime.forward_backward({name: value[block] for name, value in batch.items()}, _counts(batch))
        assert mean is not None
        losses.append(mean.sum().item())
        norm = max(norm, _relative(runtime.grad_norm(), expected.norms[step]))
        if step == 0:
            grads = [(name, _full(p.grad)) for name, p in named]
            gradient, worst = worst_difference(grads, expected.grads, floor)
        runtime.scale_grads((1.0 / (runtime.grad_norm() + 1e-6)).clamp(max=1.0))
        optimizer.step()
    weights, _ = worst_difference([(name, _full(p)) for name, p in named], expected.weights, _LEARNING_RATE)
    loss_difference = max(abs(a - b) / abs(b) for a, b in zip(losses, expected.losses, strict=True))
    difference = Difference(layout, losses[0], loss_difference, gradient, worst, norm, weights, kernels)
    return difference, [name for name, _ in named]


def _full(tensor: Tensor | None) -> Tensor:
    assert isinstance(tensor, DTensor)
    return tensor.full_tensor()


def _spec(model: T5Config | BertConfig, lengths: tuple[int, int]) -> ModelSpec:
    """The model's, with scales that training starts at 0 at a half: what they multiply has a gradient at once."""
    spec = model_spec(model, 1, lengths)

    def init(name: str, shape: tuple[int, ...]) -> Tensor:
        value = spec.init(name, shape)
        return value + 0.5 if name.endswith(("scale.weight", "group_bias.weight")) else value

    return replace(spec, init=init)


class _Reference:
    """The plain model, one process, no parallel code: losses and norms by step, first gradients, final weights."""

    def __init__(self, config: T5Config | BertConfig, batches: list[dict[str, Tensor]]) -> None:
        spec = _spec(config, (1, 1))
        model = build_model(config).double()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(spec.init(name, tuple(parameter.shape)))
        optimizer = _adamw(model.parameters())
        self.losses: list[float] = []
        self.norms: list[Tensor] = []
        self.grads: dict[str, Tensor] = {}
        for batch in batches:
            optimizer.zero_grad()
            loss = (model(**batch) / _counts(batch)).sum()
            loss.backward()
            self.grads = self.grads or {
                n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None
            }
            self.losses.append(loss.item())
            self.norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
            optimizer.step()
        self.weights = {name: parameter.detach() for name, parameter in model.named_parameters()}


def worst_difference(
    values: Iterable[tuple[str, Tensor]], reference: Mapping[str, Tensor], floor: float = 0.0
) -> tuple[float, str]:
    """Largest difference of a tensor relative to that tensor's largest entry, and its name; inf for NaN.

    Entries below `floor`, by default a millionth of the largest of all, are measured against the floor: a tensor that
    is zero in exact arithmetic (the gradient of a key bias) must not be compared with its own rounding noise.
    """
    floor = floor or 1e-6 * max(tensor.abs().max().item() for tensor in reference.values())
    worst = (0.0, "")
    for name, value in values:
        expected = reference[name]
        difference = (value - expected).abs().max().item() / max(expected.abs().max().item(), floor)
        worst = max(worst, (difference if isfinite(difference) else inf, name))
    return worst


def _relative(value: Tensor, reference: Tensor) -> float:
    return ((value - reference).abs() / reference.abs()).item()


def _adamw(parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=_LEARNING_RATE, weight_decay=0.01, foreach=False)


def _counts(batch: dict[str, Tensor]) -> Tensor:
    """Predictions in the batch, one count for each loss."""
    keys = [key for key in dict.fromkeys(LABELS.values()) if key in batch]
    return torch.stack([(batch[key] != IGNORE).sum() for key in keys]).double()


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
