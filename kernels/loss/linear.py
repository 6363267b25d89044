"""Projection to the vocabulary and its cross-entropy, a chunk of positions at a time: the logits are never whole.

The gradient of a chunk is computed as soon as its loss is, while its logits are at hand; they become it in place. What
is kept until backward is the gradient of the input, (N, D), and of the weight, (V, D): backward multiplies them by one
number. As in Liger (Hsu et al. 2024).

Letters: N positions, D width, V vocabulary of this rank.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..apex import accumulate_product
from ..dispatch import obstacle
from . import reference
from .reference import IGNORE, wide

CHUNK = 2**26
"""Logits of a chunk: 128 MiB in bf16."""

LEAST_ROWS = 512
"""Positions of a chunk at least, so that its matrix products stay efficient where V is large."""


@dataclass(frozen=True)
class Split:
    """A vocabulary whose columns lie on several ranks: this one's begin at `first`, all are `size`.

    maximum and add replace a tensor by its maximum, resp. sum, over the ranks; in place.
    """

    first: int
    size: int
    maximum: Callable[[Tensor], object]
    add: Callable[[Tensor], object]


def linear_cross_entropy_sum(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    *,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
    split: Split | None = None,
    chunk_rows: int | None = None,
) -> Tensor:
    """Sum over positions whose label is not IGNORE of the cross-entropy of softmax(x weight^T + bias); 0-dim.

    x (..., D), weight (V, D), bias (V), labels (...) int64. Per position, with p the softmax and lse the log of the sum
    of exponentials: -(1 - label_smoothing) log p[label] - label_smoothing mean(log p) + z_loss lse^2 (de Brébisson and
    Vincent 2016). Summed in at least fp32. chunk_rows: positions at a time, by default what holds CHUNK logits.
    With `split`, weight and bias are this rank's part, x, labels and result are the same on all ranks, the gradient of
    x is this rank's part of a sum; two reductions over the ranks for each chunk.
    Raises ValueError for shapes, dtypes or devices that disagree, and when there is no position.
    """
    _check(x, weight, bias, labels)
    rows, flat = x.flatten(0, -2), labels.flatten()
    grad = torch.is_grad_enabled()
    size = chunk_rows or _chunk_rows(len(rows), weight.shape[0])
    return _LinearCrossEntropy.apply(rows, weight, bias, flat, z_loss, label_smoothing, split, size, grad)


def _chunk_rows(rows: int, vocabulary: int) -> int:
    """Equal chunks, multiples of 64, of about CHUNK logits."""
    most = max(LEAST_ROWS, CHUNK // vocabulary)
    chunks = -(-rows // most)
    return -(-rows // (64 * chunks)) * 64


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        z_loss: float,
        smoothing: float,
        split: Split | None,
        chunk_rows: int,
        grad: bool,
    ) -> Tensor:
        first, size = (split.first, split.size) if split else (0, weight.shape[0])
        statistics, gradient_ = _passes(x)
        needs_x, needs_weight, needs_bias = (grad and need for need in ctx.needs_input_grad[:3])
        sums = wide(x.dtype)
        loss = x.new_zeros((), dtype=sums)
        dx = torch.empty_like(x) if needs_x else None
        dweight = torch.zeros_like(weight, dtype=sums) if needs_weight else None
        dbias = torch.zeros_like(bias, dtype=sums) if bias is not None and needs_bias else None
        for start in range(0, len(x), chunk_rows):
            piece, label = x[start : start + chunk_rows], labels[start : start + chunk_rows]
            logits = F.linear(piece, weight, bias)
            maximum, exponentials, target, total = _whole(statistics(logits, label, first), split)
            lse = maximum + exponentials.log()
            losses = lse - (1 - smoothing) * target + z_loss * lse.square()
            if smoothing:
                losses -= smoothing / size * total
            loss += torch.where(label != IGNORE, losses, 0.0).sum()
            if not (needs_x or needs_weight or needs_bias):
                continue
            gradient_(logits, label, first, lse, 2 * z_loss, 1 - smoothing, smoothing / size)
            if dx is not None:
                torch.mm(logits, weight, out=dx[start : start + chunk_rows])
            if dweight is not None:
                accumulate_product(dweight, logits, piece)
            if dbias is not None:
                dbias += logits.sum(0, dtype=sums)
        ctx.dtypes = weight.dtype, None if bias is None else bias.dtype
        ctx.save_for_backward(dx, dweight, dbias)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # In place: backward runs once, and autograd notices if it does not.
        dx, dweight, dbias = (None if d is None else d.mul_(grad.to(d.dtype)) for d in ctx.saved_tensors)
        dweight = None if dweight is None else dweight.to(ctx.dtypes[0])
        dbias = None if dbias is None else dbias.to(ctx.dtypes[1])
        return dx, dweight, dbias, *[None] * 6


def _passes(x: Tensor) -> tuple[Callable[..., Tensor], Callable[..., None]]:
    if obstacle("loss", x.device, x.dtype):
        return reference.statistics, reference.gradient_
    from . import triton  # noqa: F401  registers the ops

    return torch.ops.taixue.loss_statistics, torch.ops.taixue.loss_gradient


def _whole(statistics: Tensor, split: Split | None) -> Tensor:
    """Statistics (4, N) of all columns from those of this rank's."""
    if split is not None:
        mine = statistics[0].clone()
        split.maximum(statistics[0])
        statistics[1] *= (mine - statistics[0]).exp()
        split.add(statistics[1:])
    return statistics


def _check(x: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> None:
    if x.shape[:-1] != labels.shape:
        raise ValueError(f"labels {tuple(labels.shape)} do not fit x {tuple(x.shape)}")
    if weight.ndim != 2 or weight.shape[1] != x.shape[-1]:
        raise ValueError(f"weight {tuple(weight.shape)} does not fit x {tuple(x.shape)}: expected (V, D)")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias {tuple(bias.shape)} does not fit weight {tuple(weight.shape)}")
    if labels.numel() == 0 or x.ndim < 2:
        raise ValueError(f"no positions: x {tuple(x.shape)}, labels {tuple(labels.shape)}")
    if labels.dtype != torch.int64:
        raise ValueError(f"labels are {labels.dtype}, expected torch.int64")
    for name, tensor in (("weight", weight), ("bias", bias), ("labels", labels)):
        if tensor is not None and tensor.device != x.device:
            raise ValueError(f"{name} on {tensor.device}, x on {x.device}")
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.dtype != x.dtype:
            raise ValueError(f"{name} is {tensor.dtype}, x is {x.dtype}")
