"""What `taixue bench kernels` measures: the ops of a T5-large step, each computed in several ways.

Bytes are what must move at least, in bf16 (optimizers: fp32), every input read once and every output written once, in
forward and backward; the counts of kernels in the comments are per element.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from taixue.kernels import attention as attention_op
from taixue.kernels import dispatch, gated_ffn, norm, optim
from taixue.kernels.loss import IGNORE, cross_entropy_sum, linear_cross_entropy_sum

Work = Callable[[], list[Tensor]]
Function = Callable[..., Any]


@dataclass
class Case:
    """variants: name -> what makes the work to be timed. exact: the right results; None for steps in place."""

    flops: float
    bytes: float
    variants: dict[str, Callable[[], Work]]
    exact: Work | None = None
    other_functions: frozenset[str] = frozenset()
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Maker:
    """A case before its tensors exist."""

    op: str
    shape: str
    build: Callable[[], Case]


def all_cases(device: torch.device, small: bool) -> Iterator[Maker]:
    """In the order of importance, for a run that is cut short."""
    batch = [(2, 24, 2)] if small else [(32, 512, 16), (8, 2048, 16)]
    for samples, length, heads in batch:
        shape = f"B{samples} H{heads} S{length} K{16 if small else 64}"
        build = partial(_attention, device, samples, length, heads, 16 if small else 64)
        yield Maker("attention, T5 bias", shape, build)
    rows, width, hidden = (24, 32, 48) if small else (32768, 1024, 2816)
    yield Maker("gated GELU", f"{rows} x {hidden}", partial(_gate, device, rows, hidden))
    yield Maker("add, RMSNorm", f"{rows} x {width}", partial(_norm, device, rows, width, False))
    yield Maker("add, LayerNorm", f"{rows} x {width}", partial(_norm, device, rows, width, True))
    for positions, vocabulary in [(20, 96)] if small else [(7296, 32128), (7296, 250112)]:
        shape = f"{positions} x {width} x {vocabulary}"
        yield Maker("linear, cross-entropy", shape, partial(_loss, device, positions, width, vocabulary))
    layers = 1 if small else 48
    for name in ("AdamW", "AdamW, RMS-scaled", "Adafactor", "gradient norm"):
        shapes = _parameters(width, hidden, layers)
        total = sum(torch.Size(shape).numel() for shape in shapes)
        yield Maker(name, f"{total / 1e6:,.1f} M parameters", partial(_optimizer, device, shapes, name))


def _both(function: Function, inputs: Sequence[Tensor], grads: Sequence[Tensor], mode: str = "") -> Work:
    """Outputs and the gradients of the inputs that want one, in a kernel mode of its own where one is named."""
    wanted = [tensor for tensor in inputs if tensor.requires_grad]

    def work() -> list[Tensor]:
        with dispatch.using(mode or dispatch.mode()):
            outputs = function(*inputs)
            outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
            return [*(out.detach() for out in outputs), *torch.autograd.grad(outputs, wanted, list(grads))]

    return work


def _ways(
    ours: Function, eager: Function, inputs: Sequence[Tensor], grads: Sequence[Tensor]
) -> tuple[dict[str, Callable[[], Work]], Work]:
    """The variants that every op has, and its exact results."""
    fast = "interpret" if inputs[0].device.type == "cpu" and dispatch.mode() == "interpret" else "auto"

    def compiled() -> Work:
        backend = "inductor" if inputs[0].is_cuda else "aot_eager"
        return _both(torch.compile(eager, backend=backend, fullgraph=True), inputs, grads, "reference")

    def exact() -> list[Tensor]:
        wide = [
            t.detach().float().requires_grad_(t.requires_grad) if t.is_floating_point() else t for t in inputs
        ]
        return _both(eager, wide, [grad.float() for grad in grads], "reference")()

    variants: dict[str, Callable[[], Work]] = {
        "ours": lambda: _both(ours, inputs, grads, fast),
        "eager": lambda: _both(eager, inputs, grads, "reference"),
        "torch.compile": compiled,
    }
    return variants, exact


def _random(device: torch.device, *shape: int, grad: bool = True, scale: float = 1.0) -> Tensor:
    tensor = torch.randn(shape, device=device, dtype=torch.bfloat16) * scale
    return tensor.requires_grad_(grad)


def _liger(name: str) -> Function:
    """A function of Liger's kernels. Raises ImportError where it is not installed."""
    return getattr(import_module("liger_kernel.transformers.functional"), name)


def _norm(device: torch.device, rows: int, width: int, centred: bool) -> Case:
    x, update = _random(device, rows, width), _random(device, rows, width)
    weight, bias = _random(device, width), _random(device, width, grad=centred)
    grads = [_random(device, rows, width, grad=False) for _ in range(2)]

    def ours(x: Tensor, update: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        if centred:
            return norm.add_layer_norm(x, update, weight, bias, 1e-6)
        return norm.add_rms_norm(x, update, weight, 1e-6)

    def eager(x: Tensor, update: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        return norm.reference.add_norm(x, update, weight, bias if centred else None, 1e-6, 0.0)

    inputs = [x, update, weight, bias]
    variants, exact = _ways(ours, eager, inputs, grads)
    if not centred:

        def builtin(x: Tensor, update: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
            total = x + update
            return total, F.rms_norm(total, weight.shape, weight, 1e-6)

        def liger(x: Tensor, update: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
            normed, total = _liger("liger_fused_add_rms_norm")(x, update, weight, 1e-6)
            return total, normed

        variants["F.rms_norm"] = lambda: _both(builtin, inputs, grads)
        variants["Liger"] = lambda: _both(liger, inputs, grads)
    moved = 2 * rows * width * (2 + 2 + 3 + 1)  # x, u -> s, y; g, gs, s -> dx
    return Case(20.0 * rows * width, moved, variants, exact)


def _gate(device: torch.device, rows: int, hidden: int) -> Case:
    inputs = [_random(device, rows, hidden), _random(device, rows, hidden)]
    grads = [_random(device, rows, hidden, grad=False)]

    def ours(a: Tensor, b: Tensor) -> Tensor:
        return gated_ffn.gate(a, b, "gelu_new")

    def eager(a: Tensor, b: Tensor) -> Tensor:
        return gated_ffn.reference.gate(a, b, "gelu_new")

    variants, exact = _ways(ours, eager, inputs, grads)
    variants["Liger"] = lambda: _both(_liger("liger_geglu"), inputs, grads)
    moved = 2 * rows * hidden * (2 + 1 + 3 + 2)  # a, b -> y; g, a, b -> da, db
    return Case(40.0 * rows * hidden, moved, variants, exact)


def _loss(device: torch.device, positions: int, width: int, vocabulary: int) -> Case:
    x = _random(device, positions, width)
    weight = _random(device, vocabulary, width, scale=width**-0.5)
    labels = torch.randint(vocabulary, (positions,), device=device)
    labels[::7] = IGNORE
    inputs, grads = [x, weight], [torch.tensor(1 / positions, device=device)]

    def ours(x: Tensor, weight: Tensor) -> Tensor:
        return linear_cross_entropy_sum(x, weight, None, labels)

    def eager(x: Tensor, weight: Tensor) -> Tensor:
        return cross_entropy_sum(F.linear(x, weight), labels)

    def liger(x: Tensor, weight: Tensor) -> Tensor:
        function = _liger("liger_fused_linear_cross_entropy")
        return function(x, weight, labels, ignore_index=IGNORE, reduction="sum")

    variants, exact = _ways(ours, eager, inputs, grads)
    variants["ours, PyTorch"] = lambda: _both(ours, inputs, grads, "reference")
    variants["Liger"] = lambda: _both(liger, inputs, grads)
    moved = 10 * positions * vocabulary + 2 * (2 * positions * width + 3 * vocabulary * width)
    return Case(6.0 * positions * width * vocabulary, moved, variants, exact)


def _attention(device: torch.device, samples: int, length: int, heads: int, head_dim: int) -> Case:
    query, key, value = (_random(device, samples, heads, length, head_dim, scale=0.5) for _ in range(3))
    table = _random(device, 32, heads)
    inputs = [query, key, value, table]
    grads = [_random(device, samples, heads, length, head_dim, grad=False)]

    def ours(query: Tensor, key: Tensor, value: Tensor, table: Tensor) -> Tensor:
        bias = attention_op.attention_bias(length, length, table=table, dtype=query.dtype, device=device)
        return attention_op.attention(query, key, value, bias, scale=1.0)

    def dense(table: Tensor, dtype: torch.dtype) -> Tensor:
        positions = torch.arange(length, device=device)
        buckets = attention_op.relative_buckets(positions[None] - positions[:, None], 32, 128, True)
        return F.embedding(buckets, table).permute(2, 0, 1)[None].to(dtype)

    def eager(query: Tensor, key: Tensor, value: Tensor, table: Tensor) -> Tensor:
        scores = query @ key.transpose(-1, -2) + dense(table, query.dtype)
        return torch.softmax(scores.float(), -1).to(query.dtype) @ value

    def efficient(query: Tensor, key: Tensor, value: Tensor, table: Tensor) -> Tensor:
        # cuDNN takes a bias but gives it no gradient.
        bias = dense(table, query.dtype).expand(samples, -1, -1, -1).contiguous()
        backends = [SDPBackend.EFFICIENT_ATTENTION] if query.is_cuda else [SDPBackend.MATH]
        with sdpa_kernel(backends):
            return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)

    def flash(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        backends = [SDPBackend.FLASH_ATTENTION] if query.is_cuda else [SDPBackend.MATH]
        with sdpa_kernel(backends):
            return F.scaled_dot_product_attention(query, key, value, scale=1.0)

    def flex(query: Tensor, key: Tensor, value: Tensor, table: Tensor) -> Tensor:
        from torch.nn.attention.flex_attention import flex_attention

        positions = torch.arange(length, device=device)
        buckets = attention_op.relative_buckets(positions[None] - positions[:, None], 32, 128, True)

        def add_bias(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
            return score + table[buckets[q, k], h]

        return torch.compile(flex_attention)(query, key, value, score_mod=add_bias, scale=1.0)

    variants, exact = _ways(ours, eager, inputs, grads)
    variants["SDPA, bias (efficient)"] = lambda: _both(efficient, inputs, grads)
    variants["SDPA, no bias (flash)"] = lambda: _both(flash, inputs[:3], grads)
    if device.type == "cuda":  # Flex has no backward on CPUs
        variants["flex"] = lambda: _both(flex, inputs, grads)
    area = samples * heads * length * length
    moved = 2 * samples * heads * length * head_dim * (4 + 8)  # q, k, v -> o; q, k, v, o, do -> dq, dk, dv
    return Case(14.0 * area * head_dim, moved, variants, exact, frozenset({"SDPA, no bias (flash)"}))


def _parameters(width: int, hidden: int, layers: int) -> list[tuple[int, ...]]:
    """Shapes of about T5-large."""
    block: list[tuple[int, ...]] = (
        [(width, width)] * 4 + [(hidden, width)] * 2 + [(width, hidden)] + [(width,)] * 2
    )
    return block * layers


def _optimizer(device: torch.device, shapes: Sequence[tuple[int, ...]], name: str) -> Case:
    """One step in place, gradients multiplied by a device scalar on the way."""

    def tensors() -> list[Tensor]:
        return [torch.randn(shape, device=device) * 0.02 for shape in shapes]

    parameters, gradients = tensors(), tensors()
    count = sum(tensor.numel() for tensor in parameters)
    scale = torch.tensor(0.5, device=device)
    fast = "interpret" if device.type == "cpu" and dispatch.mode() == "interpret" else "auto"
    if name == "gradient norm":

        def summed(mode: str) -> Work:
            def work() -> list[Tensor]:
                with dispatch.using(mode):
                    return [optim.square_sums(gradients).sum()]

            return work

        variants: dict[str, Callable[[], Work]] = {
            "ours": lambda: summed("auto"),
            "eager": lambda: summed("reference"),
            "clip_grad_norm_'s": lambda: lambda: [torch.nn.utils.get_total_norm(gradients)],
        }
        note = optim.cuda.obstacle(gradients)
        return Case(2.0 * count, 4.0 * count, variants, notes={"ours": f"reference: {note}"} if note else {})
    if name == "Adafactor":
        matrices = [(p, g) for p, g in zip(parameters, gradients, strict=True) if p.ndim == 2]
        rate = torch.tensor(1e-3, device=device)

        def adafactor(mode: str) -> Work:
            def work() -> list[Tensor]:
                with dispatch.using(mode):
                    for parameter, gradient in matrices:
                        rows, columns = optim.squared_sums(gradient, scale)
                        factors = rows.rsqrt(), columns.rsqrt()
                        size = optim.factored_square_sum(gradient, scale, *factors)
                        optim.factored_step_(
                            parameter, gradient, scale, *factors, rate, rate / size.clamp(min=1)
                        )
                return []

            return work

        variants = {"ours": lambda: adafactor(fast), "eager": lambda: adafactor("reference")}
        return Case(20.0 * count, 20.0 * count, variants)

    means = [torch.zeros_like(tensor) for tensor in parameters]
    squares = [torch.zeros_like(tensor) for tensor in parameters]
    sizes = torch.full((len(shapes),), 0.02, device=device) if "RMS" in name else None
    options: dict[str, Any] = {"lr": 1e-4, "betas": (0.9, 0.98), "eps": 1e-8, "weight_decay": 0.01, "step": 2}

    def adamw(mode: str) -> Work:
        def work() -> list[Tensor]:
            with dispatch.using(mode):
                optim.adamw_step(parameters, gradients, means, squares, **options, scale=scale, sizes=sizes)
            return []

        return work

    variants = {"ours": lambda: adamw(fast), "eager": lambda: adamw("reference")}
    if sizes is None:
        variants["torch, foreach"] = lambda: _torch_adamw(
            parameters, gradients, means, squares, scale, "foreach"
        )
        variants["torch, fused"] = lambda: _torch_adamw(parameters, gradients, means, squares, scale, "fused")
    return Case(20.0 * count, 28.0 * count, variants)


def _torch_adamw(
    parameters: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    scale: Tensor,
    how: str,
) -> Work:
    """torch's AdamW with the clipping factor applied beforehand, as a training loop does."""
    from torch.optim.adamw import adamw

    steps = [torch.zeros((), device=tensor.device) for tensor in parameters]

    def work() -> list[Tensor]:
        torch._foreach_mul_(gradients, scale)
        adamw(
            parameters, gradients, means, squares, [], steps,
            fused=how == "fused", foreach=how == "foreach", amsgrad=False, maximize=False,
            lr=1e-4, beta1=0.9, beta2=0.98, eps=1e-8, weight_decay=0.01,
        )  # fmt: skip
        return []

    return work
