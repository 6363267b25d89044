"""Embedding and cross-entropy over a vocabulary that is split into equal, contiguous parts, one for each rank."""

from functools import partial

import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from taixue.kernels.loss import Split, linear_cross_entropy_sum


def partial_embedding(ids: Tensor, weight: Tensor, rank: int) -> Tensor:
    """Rows of the local weight (V/n, D) for ids (B, S) that fall into it, zero elsewhere: (B, S, D) to be summed."""
    local = ids - rank * weight.shape[0]
    mine = (local >= 0) & (local < weight.shape[0])
    return F.embedding(local.clamp(0, weight.shape[0] - 1), weight) * mine[..., None].to(weight.dtype)


def parallel_linear_cross_entropy_sum(
    x: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, group: dist.ProcessGroup
) -> Tensor:
    """As kernels.loss.linear_cross_entropy_sum, with the local weight (V/n, D). Same 0-dim sum on every rank.

    Two all-reduces over `group` for each chunk of positions forward (maxima, then sums), none backward: the gradient
    of x is this rank's part of a sum.
    """
    split = Split(
        first=group.rank() * weight.shape[0],
        size=group.size() * weight.shape[0],
        maximum=partial(dist.all_reduce, op=dist.ReduceOp.MAX, group=group),
        add=partial(dist.all_reduce, group=group),
    )
    return linear_cross_entropy_sum(x, weight, bias, labels, split=split)
