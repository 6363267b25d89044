"""The step that compares every op, as a T5 calls it, with float64: values and gradients, in bf16 and fp32.

The op and its reference get the same rounded numbers, the reference in float64. Every call is made twice, and what it
allocates is filled with NaN the first time: what is never written shows, and so does what depends on chance.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from taixue.kernels import dispatch, dropout, gated_ffn, norm, optim
from taixue.kernels.attention import attention, attention_bias
from taixue.kernels.loss import IGNORE, linear_cross_entropy_sum

from .journal import Bench

LIMITS = {torch.bfloat16: 2e-2, torch.float32: 1e-5}
"""Largest relative error |a - b| / |b| of a tensor."""

P = 0.1
"""Dropout where there is some."""

Function = Callable[..., Tensor | tuple[Tensor, ...]]


@dataclass(frozen=True)
class Call:
    """One op as a model calls it. shapes: of the leaves, standard normal times scale."""

    name: str
    function: Function
    shapes: tuple[tuple[int, ...], ...]
    scale: float = 1.0
    dtypes: tuple[torch.dtype, ...] = (torch.bfloat16, torch.float32)


@dataclass(frozen=True)
class Sizes:
    """Of T5-large 512/114, or of a toy."""

    batch: int = 2
    heads: int = 16
    head_dim: int = 64
    source: int = 512
    target: int = 114
    vocabulary: int = 32128
    hidden: int = 2816

    @property
    def width(self) -> int:
        return self.heads * self.head_dim


TOY = Sizes(batch=2, heads=2, head_dim=16, source=24, target=10, vocabulary=50, hidden=48)


def operators(bench: Bench) -> None:
    """Every op forward and backward beside float64, and the same bits twice."""
    device = torch.device(bench.device)
    sizes = TOY if bench.dry else Sizes()
    failures = 0
    for call in calls(sizes, device):
        for dtype in call.dtypes:
            label = f"{call.name}, {str(dtype).removeprefix('torch.')}"
            try:
                error, same = compare(call, dtype, device)
            except Exception as problem:  # the other ops are still of interest
                failures += 1
                first = next(iter(str(problem).strip().splitlines()), "")
                bench.holds(label, False, f"{type(problem).__name__}: {first}"[:120])
                if failures == 4:  # after an illegal access nothing else works in this process
                    raise
                continue
            bench.at_most(f"{label}: beside float64", error, LIMITS[dtype])
            bench.holds(f"{label}: same bits twice", same)


def compare(call: Call, dtype: torch.dtype, device: torch.device) -> tuple[float, bool]:
    """(largest relative error of an output or gradient; whether two runs gave the same bits)."""
    generator = torch.Generator().manual_seed(0)
    leaves = [
        (torch.randn(shape, generator=generator, dtype=torch.float64) * call.scale).to(device, dtype)
        for shape in call.shapes
    ]
    with poisoned():
        first = values_and_gradients(call.function, leaves)
    second = values_and_gradients(call.function, leaves)
    with dispatch.using("reference"):
        exact = values_and_gradients(call.function, [leaf.double() for leaf in leaves])
    errors = [
        ((a.double() - b).norm() / b.norm().clamp(min=1e-30)).item()
        for a, b in zip(first, exact, strict=True)
    ]
    largest = max(errors, key=lambda error: error if error == error else float("inf"))
    return largest, all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def values_and_gradients(function: Function, leaves: Sequence[Tensor]) -> list[Tensor]:
    """Outputs of function(*leaves), then the gradients of those that have one, for fixed gradients of the outputs."""
    inputs = [leaf.clone().requires_grad_() for leaf in leaves]
    outputs = function(*inputs)
    outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
    generator = torch.Generator().manual_seed(1)
    differentiable = [out for out in outputs if out.requires_grad]
    grads = [
        torch.randn(out.shape, generator=generator, dtype=torch.float64).to(leaves[0]).to(out.dtype)
        for out in differentiable
    ]
    torch.autograd.backward(differentiable, grads)
    found = [leaf.grad for leaf in inputs if leaf.grad is not None]
    return [out.detach().clone() for out in outputs] + found


@contextmanager
def poisoned() -> Iterator[None]:
    """Fill everything that is allocated without a value with NaN."""
    settings: Any = torch.utils.deterministic
    before, filling = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        settings.fill_uninitialized_memory = filling


def calls(sizes: Sizes, device: torch.device) -> Iterator[Call]:
    """All that a T5 calls, with and without dropout, and the optimizers' steps."""
    s = sizes
    draws = dropout.Draws(P, torch.tensor([3, 4, 9], device=device), torch.arange(s.batch, device=device))
    yield from _attention(s, draws, device)
    for length in (s.source, s.target):
        rows = (s.batch, length, s.width)
        yield Call(f"RMSNorm {rows}", lambda x, w: norm.rms_norm(x, w, 1e-6), (rows, rows[2:]))
        for label, dropped in (("add, RMSNorm", None), ("dropout, add, RMSNorm", draws)):
            yield Call(f"{label} {rows}", _add_norm(dropped), (rows, rows, rows[2:]))
    rows = (s.batch, s.source, s.hidden)
    yield Call(f"gated GELU {rows}", lambda a, b: gated_ffn.gate(a, b, "gelu_new"), (rows, rows))
    yield Call(f"dropout {rows}", lambda x: dropout.dropout(x, draws), (rows,))
    yield _loss(s, device)
    yield from _optimizers(s, device)


def _attention(s: Sizes, draws: dropout.Draws, device: torch.device) -> Iterator[Call]:
    mask = torch.arange(s.source, device=device) < torch.tensor([[s.source], [s.source // 2]], device=device)
    packed = (torch.arange(s.source, device=device) * 3 // s.source).expand(s.batch, -1)
    at_source, at_target = ((s.batch, s.heads, length, s.head_dim) for length in (s.source, s.target))
    table = (32, s.heads)
    kinds: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
        "encoder": (at_source, at_source, {}),
        "decoder": (at_target, at_target, {"causal": True}),
        "cross": (at_target, at_source, {"key_mask": mask}),
        "padded encoder": (at_source, at_source, {"key_mask": mask}),
        "packed encoder": (at_source, at_source, {"query_segments": packed, "key_segments": packed}),
    }
    for name, (queries, keys, options) in kinds.items():
        for dropped in (None, draws):
            label = f"attention, {name}{', dropout' if dropped else ''}"
            shapes = (queries, keys, keys) if name == "cross" else (queries, keys, keys, table)
            yield Call(f"{label} {queries[2]}x{keys[2]}", _attend(options, dropped), shapes, scale=0.5)


def _attend(options: dict[str, Any], draws: dropout.Draws | None) -> Function:
    def run(query: Tensor, key: Tensor, value: Tensor, table: Tensor | None = None) -> Tensor:
        bias = attention_bias(
            query.shape[2],
            key.shape[2],
            table=table,
            dtype=query.dtype,
            device=query.device,
            **options,
        )
        return attention(query, key, value, bias, scale=1.0, dropout=draws)

    return run


def _add_norm(draws: dropout.Draws | None) -> Function:
    return lambda x, update, weight: norm.add_rms_norm(x, update, weight, 1e-6, draws)


def _loss(s: Sizes, device: torch.device) -> Call:
    positions = s.batch * s.target
    labels = torch.arange(positions, device=device) * 7 % s.vocabulary
    labels[::5] = IGNORE
    shapes = ((positions, s.width), (s.vocabulary, s.width))
    label = f"linear, cross-entropy {positions}x{s.vocabulary}"
    return Call(
        label, lambda x, w: linear_cross_entropy_sum(x, w, None, labels), shapes, scale=s.width**-0.25
    )


def _optimizers(s: Sizes, device: torch.device) -> Iterator[Call]:
    """Steps in place on copies: what comes out are the new weights and states."""
    matrix, vector = (s.hidden, s.width), (s.width,)
    only = (torch.float32,)

    def adamw(relative: bool) -> Function:
        def run(*leaves: Tensor) -> tuple[Tensor, ...]:
            weights, gradients = ([leaf.detach().clone() for leaf in leaves[half::2]] for half in (0, 1))
            means, squares = ([g * 0.1 for g in gradients], [g.square() for g in gradients])
            scale = torch.tensor(0.5, device=device)
            sizes = torch.tensor([0.5, 2.0], device=device) if relative else None
            options = {"lr": 1e-2, "betas": (0.9, 0.98), "eps": 1e-8, "weight_decay": 0.1, "step": 3}
            optim.adamw_step(weights, gradients, means, squares, **options, scale=scale, sizes=sizes)  # type: ignore[arg-type]
            return (*weights, *means, *squares)

        return run

    def adafactor(weight: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
        parameter, grad = weight.detach().clone(), gradient.detach()
        scale, rate = (torch.tensor(x, device=device, dtype=grad.dtype) for x in (0.5, 1e-2))
        rows, columns = optim.squared_sums(grad, scale)
        factors = rows.rsqrt(), columns.rsqrt()
        size = optim.factored_square_sum(grad, scale, *factors)
        optim.factored_step_(parameter, grad, scale, *factors, rate, rate)
        return rows, columns, size, parameter

    for name, relative in (("AdamW", False), ("AdamW, RMS-scaled", True)):
        yield Call(name, adamw(relative), (matrix, matrix, vector, vector), dtypes=only)
    yield Call("Adafactor", adafactor, (matrix, matrix), dtypes=only)
