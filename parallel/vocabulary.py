"""Embedding and cross-entropy over a vocabulary that is split into equal, contiguous parts, one for each rank."""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from taixue.kernels.loss import IGNORE


def partial_embedding(ids: Tensor, weight: Tensor, rank: int) -> Tensor:
    """Rows of the local weight (V/n, D) for ids (B, S) that fall into it, zero elsewhere: (B, S, D) to be summed."""
    local = ids - rank * weight.shape[0]
    mine = (local >= 0) & (local < weight.shape[0])
    return F.embedding(local.clamp(0, weight.shape[0] - 1), weight) * mine[..., None].to(weight.dtype)


def parallel_cross_entropy_sum(logits: Tensor, labels: Tensor, group: dist.ProcessGroup) -> Tensor:
    """As kernels.loss.cross_entropy_sum, with the local logits (..., V/n). Same 0-dim sum on every rank.

    Three all-reduces over `group` forward (maximum, sum of exponentials, logit of the label), none backward.
    """
    wide = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
    return _ParallelCrossEntropy.apply(wide.flatten(0, -2), labels.flatten(), group)


class _ParallelCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, group: dist.ProcessGroup) -> Tensor:
        """logits (N, V/n), labels (N,)."""
        size = logits.shape[-1]
        maximum = logits.amax(-1)
        dist.all_reduce(maximum, op=dist.ReduceOp.MAX, group=group)
        shifted = logits - maximum[:, None]
        local = labels - group.rank() * size
        valid = labels != IGNORE
        mine = valid & (local >= 0) & (local < size)
        local = local.clamp(0, size - 1)
        target = shifted.gather(1, local[:, None])[:, 0] * mine
        exponentials = shifted.exp_()
        normaliser = exponentials.sum(-1)
        dist.all_reduce(normaliser, group=group)
        dist.all_reduce(target, group=group)
        ctx.save_for_backward(exponentials.div_(normaliser[:, None]), local, mine, valid)
        return ((normaliser.log() - target) * valid).sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        softmax, local, mine, valid = ctx.saved_tensors
        # The saved softmax becomes the gradient in place: a pipeline or a checkpointed block runs backward once.
        softmax.scatter_add_(1, local[:, None], -mine[:, None].to(softmax.dtype))
        return softmax.mul_((valid * grad)[:, None]), None, None
