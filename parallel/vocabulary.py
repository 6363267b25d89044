"""Embedding and cross-entropy over a vocabulary that is split into equal, contiguous parts, one for each rank."""

from functools import partial

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from taixue.kernels.loss import Split


def partial_embedding(ids: Tensor, weight: Tensor, rank: int) -> Tensor:
    """Rows of the local weight (V/n, D) for ids (B, S) that fall into it, zero elsewhere: (B, S, D) to be summed."""
    local = ids - rank * weight.shape[0]
    mine = (local >= 0) & (local < weight.shape[0])
    return F.embedding(local.clamp(0, weight.shape[0] - 1), weight) * mine[..., None].to(weight.dtype)


def vocabulary_split(weight: Tensor, group: dist.ProcessGroup) -> Split:
    """Where this rank's weight (V/n, D) lies in the vocabulary, for the losses and the top-k of kernels.loss."""

    def gather(tensor: Tensor) -> list[Tensor]:
        parts = [torch.empty_like(tensor) for _ in range(group.size())]
        dist.all_gather(parts, tensor, group=group)
        return parts

    return Split(
        first=group.rank() * weight.shape[0],
        size=group.size() * weight.shape[0],
        maximum=partial(dist.all_reduce, op=dist.ReduceOp.MAX, group=group),
        add=partial(dist.all_reduce, group=group),
        gather=gather,
    )
