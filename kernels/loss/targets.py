"""What final states are to predict, hard labels and a teacher's top-k: both losses in one pass over the logits.

What the two sums weigh is known only in backward, which therefore makes the logits of each chunk again: 4 products of
matrices, where a gradient kept for each sum would take 5, and two (N, D) and two (V, D) between the passes. What is
kept here are the arguments and 3 numbers per position. Hard labels alone keep to linear.py: 3 products.

The soft passes have no kernels: they are PyTorch's on every device, beside the kernels of the hard ones.

Letters: N positions, D width, V vocabulary of this rank.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..apex import accumulate_product
from .linear import check, check_labels, hard_losses, linear_cross_entropy_sum, passes, rows_of_chunk
from .reference import IGNORE, wide
from .split import Split, whole
from .teacher import Teacher, rest_statistics, soft_gradient, soft_losses


@dataclass(frozen=True)
class Targets:
    """Of positions (...): labels (...) int64, IGNORE where there is none, and what a teacher says. At least one."""

    labels: Tensor | None = None
    teacher: Teacher | None = None


def linear_loss_sums(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Targets,
    *,
    split: Split | None = None,
    chunk_rows: int | None = None,
) -> tuple[Tensor, Tensor]:
    """(hard, soft), 0-dim: sums over positions of the loss of x weight^T + bias against the labels, and the teacher.

    hard is that of linear_cross_entropy_sum, with the same bits; soft that of teacher.py. What is not in `targets` has
    sum 0. x (..., D), weight (V, D), bias (V); sums in at least fp32. With `split` as linear_cross_entropy_sum: two
    reductions over the ranks for each chunk, none in backward. Gradients of x and of the weights may be asked one after
    the other, of either sum or both; where there is a teacher, each time costs a whole backward.
    Raises ValueError for shapes, dtypes or devices that disagree, when there is no position, and when no target.
    """
    labels, teacher = targets.labels, targets.teacher
    if teacher is None:
        if labels is None:
            raise ValueError("neither labels nor a teacher")
        hard = linear_cross_entropy_sum(x, weight, bias, labels, split=split, chunk_rows=chunk_rows)
        return hard, torch.zeros_like(hard)
    if labels is None:
        labels = torch.full(x.shape[:-1], IGNORE, device=x.device)
    check(x, weight, bias)
    check_labels(x, labels)
    _check_teacher(x, teacher, split.size if split else weight.shape[0])
    size = chunk_rows or rows_of_chunk(labels.numel(), weight.shape[0])
    ids, log_probabilities = teacher.ids.flatten(0, -2), teacher.log_probabilities.flatten(0, -2)
    rows, flat, t = x.flatten(0, -2), labels.flatten(), teacher.temperature
    hard, soft = _LinearLosses.apply(rows, weight, bias, flat, ids, log_probabilities, t, split, size)
    return hard, soft


class _LinearLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        ids: Tensor,
        log_probabilities: Tensor,
        t: float,
        split: Split | None,
        chunk_rows: int,
    ) -> tuple[Tensor, Tensor]:
        first, (statistics, _) = split.first if split else 0, passes(x)
        hard, soft = (x.new_zeros((), dtype=wide(x.dtype)) for _ in range(2))
        logsumexps = []
        for start in range(0, len(x), chunk_rows):
            piece, label, named, log_q = (
                tensor[start : start + chunk_rows] for tensor in (x, labels, ids, log_probabilities)
            )
            logits = F.linear(piece, weight, bias)
            blocks = statistics(logits, label, first), rest_statistics(logits, named, first, t)
            of_all, of_rest = whole(blocks, split)
            losses, lse = hard_losses(of_all, label)
            hard = hard + losses.sum()  # not in place: see linear.py
            losses, tempered = soft_losses(of_rest, named, log_q, t)
            soft = soft + losses.sum()
            logsumexps.append(torch.cat((lse[None], tempered)))
        ctx.first, ctx.t, ctx.chunk_rows = first, t, chunk_rows
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight, bias, labels, ids, log_probabilities, torch.cat(logsumexps, 1))
        return hard, soft

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hard: Tensor | None, grad_soft: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_hard is None and grad_soft is None:
            return (None,) * 9
        x, weight, bias, labels, ids, log_probabilities, logsumexps = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        sums, (_, gradient_) = logsumexps.dtype, passes(x)
        dx = torch.empty_like(x) if needs_x else None
        dweight = torch.zeros_like(weight, dtype=sums) if needs_weight else None
        dbias = torch.zeros_like(bias, dtype=sums) if needs_bias else None
        for start in range(0, len(x), ctx.chunk_rows):
            rows = slice(start, start + ctx.chunk_rows)
            lse, tempered = logsumexps[0, rows], logsumexps[1:, rows]
            logits = F.linear(x[rows], weight, bias)
            total = logits.new_zeros((), dtype=sums)
            if grad_soft is not None:  # first: the hard gradient takes the place of the logits
                named = ids[rows], log_probabilities[rows]
                total = soft_gradient(logits, *named, ctx.first, tempered, ctx.t).mul_(grad_soft)
            if grad_hard is not None:
                gradient_(logits, labels[rows], ctx.first, lse, 0.0, 1.0, 0.0)
                total = total + grad_hard * logits
            gradient = total.to(x.dtype)
            if dx is not None:
                torch.mm(gradient, weight, out=dx[rows])
            if dweight is not None:
                accumulate_product(dweight, gradient, x[rows])
            if dbias is not None:
                dbias += gradient.sum(0, dtype=sums)
        dweight = None if dweight is None else dweight.to(weight.dtype)
        dbias = None if dbias is None else dbias.to(bias.dtype)
        return dx, dweight, dbias, *[None] * 6


def _check_teacher(x: Tensor, teacher: Teacher, vocabulary: int) -> None:
    ids, log_probabilities, t = teacher.ids, teacher.log_probabilities, teacher.temperature
    if ids.shape[:-1] != x.shape[:-1] or log_probabilities.shape != ids.shape:
        shapes = tuple(ids.shape), tuple(log_probabilities.shape)
        raise ValueError(f"teacher's ids and log-probabilities {shapes} do not fit x {tuple(x.shape)}")
    if not 1 <= ids.shape[-1] <= vocabulary:
        raise ValueError(f"a teacher of {ids.shape[-1]} ids, expected 1 to {vocabulary}, the vocabulary")
    if ids.dtype != torch.int64 or not log_probabilities.is_floating_point():
        kinds = f"{ids.dtype} and {log_probabilities.dtype}"
        raise ValueError(
            f"teacher's ids and log-probabilities are {kinds}, expected torch.int64 and floating"
        )
    if not t > 0:
        raise ValueError(f"temperature {t} is not above 0")
    for name, tensor in (("ids", ids), ("log-probabilities", log_probabilities)):
        if tensor.device != x.device:
            raise ValueError(f"teacher's {name} on {tensor.device}, x on {x.device}")
