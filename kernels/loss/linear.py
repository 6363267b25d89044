"""Projection to the vocabulary and its cross-entropy, a chunk of positions at a time: the logits are never whole.

The gradient of a chunk is computed as soon as its loss is, while its logits are at hand; they become it in place. What
is kept until backward is the gradient of the input, (N, D), and of the weight, (V, D): backward multiplies them by one
number. As in Liger (Hsu et al. 2024).

Letters: N positions, D width, V vocabulary of this rank.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..apex import accumulate_product
from ..dispatch import obstacle
from . import reference
from .reference import IGNORE, wide
from .split import Split, whole

CHUNK = 2**26
"""Logits of a chunk: 128 MiB in bf16."""

LEAST_ROWS = 512
"""Positions of a chunk at least, so that its matrix products stay efficient where V is large."""


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
    check(x, weight, bias)
    check_labels(x, labels)
    rows, flat = x.flatten(0, -2), labels.flatten()
    grad = torch.is_grad_enabled()
    size = chunk_rows or rows_of_chunk(len(rows), weight.shape[0])
    return _LinearCrossEntropy.apply(rows, weight, bias, flat, z_loss, label_smoothing, split, size, grad)


def rows_of_chunk(rows: int, vocabulary: int) -> int:
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
        statistics, gradient_ = passes(x)
        needs_x, needs_weight, needs_bias = (grad and need for need in ctx.needs_input_grad[:3])
        sums = wide(x.dtype)
        loss = x.new_zeros((), dtype=sums)
        dx = torch.empty_like(x) if needs_x else None
        dweight = torch.zeros_like(weight, dtype=sums) if needs_weight else None
        dbias = torch.zeros_like(bias, dtype=sums) if bias is not None and needs_bias else None
        for start in range(0, len(x), chunk_rows):
            piece, label = x[start : start + chunk_rows], labels[start : start + chunk_rows]
            logits = F.linear(piece, weight, bias)
            (of_all,) = whole([statistics(logits, label, first)], split)
            losses, lse = hard_losses(of_all, label, z_loss, smoothing, size)
            loss = loss + losses.sum()  # not in place: Dynamo 2.11 then gives backward a gradient of 0
            if not (needs_x or needs_weight or needs_bias):
                continue
            gradient_(logits, label, first, lse, 2 * z_loss, 1 - smoothing, smoothing / size)
            if dx is not None:
                torch.mm(logits, weight, out=dx[start : start + chunk_rows])
            if dweight is not None:
                accumulate_product(dweight, logits, piece)
            if dbias is not None:
                dbias += logits.sum(0, dtype=sums)
        ctx.dtype = x.dtype
        ctx.save_for_backward(dx, dweight, dbias)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # Out of place: backward may run again, for another of the gradients.
        dx, dweight, dbias = (_scaled(total, grad, ctx.dtype) for total in ctx.saved_tensors)
        return dx, dweight, dbias, *[None] * 6


def _scaled(tensor: Tensor | None, factor: Tensor, dtype: torch.dtype) -> Tensor | None:
    """A new tensor of `dtype`, without another in between."""
    if tensor is None:
        return None
    return torch.mul(tensor, factor.to(tensor.dtype), out=torch.empty_like(tensor, dtype=dtype))


def hard_losses(
    statistics: Tensor, labels: Tensor, z_loss: float = 0.0, smoothing: float = 0.0, size: int = 1
) -> tuple[Tensor, Tensor]:
    """Losses (N), 0 where ignored, and log of the sum of exponentials (N), from `statistics` of all `size` columns."""
    maximum, exponentials, target, total = statistics
    lse = maximum + exponentials.log()
    losses = lse - (1 - smoothing) * target + z_loss * lse.square()
    if smoothing:
        losses -= smoothing / size * total
    return torch.where(labels != IGNORE, losses, 0.0), lse


def passes(x: Tensor) -> tuple[Callable[..., Tensor], Callable[..., None]]:
    if obstacle("loss", x.device, x.dtype):
        return reference.statistics, reference.gradient_
    from . import triton  # noqa: F401  registers the ops

    return torch.ops.taixue.loss_statistics, torch.ops.taixue.loss_gradient


def check(x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """ValueError unless x (..., D) with at least one position, weight (V, D) and bias (V) go together."""
    if weight.ndim != 2 or weight.shape[1] != x.shape[-1]:
        raise ValueError(f"weight {tuple(weight.shape)} does not fit x {tuple(x.shape)}: expected (V, D)")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias {tuple(bias.shape)} does not fit weight {tuple(weight.shape)}")
    if x.numel() == 0 or x.ndim < 2:
        raise ValueError(f"no positions: x {tuple(x.shape)}")
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.device != x.device:
            raise ValueError(f"{name} on {tensor.device}, x on {x.device}")
        if tensor is not None and tensor.dtype != x.dtype:
            raise ValueError(f"{name} is {tensor.dtype}, x is {x.dtype}")


def check_labels(x: Tensor, labels: Tensor) -> None:
    """ValueError unless labels (...) are those of x (..., D)."""
    if x.shape[:-1] != labels.shape:
        raise ValueError(f"labels {tuple(labels.shape)} do not fit x {tuple(x.shape)}")
    if labels.dtype != torch.int64:
        raise ValueError(f"labels are {labels.dtype}, expected torch.int64")
    if labels.device != x.device:
        raise ValueError(f"labels on {labels.device}, x on {x.device}")
