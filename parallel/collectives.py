"""The four collectives of tensor parallelism as autograd functions, on plain tensors.

"enter" takes activations into a region where every rank computes its own heads, hidden units or vocabulary part;
"leave" brings its partial sums back. Without sequence parallelism activations outside are replicated, with it they are
split along dimension 1 (Megatron-LM: Shoeybi et al. 2019; Korthikanti et al. 2022).
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

Group = dist.ProcessGroup

# torch 2.13 deprecates the older names.
_all_gather_single = getattr(dist, "all_gather_single", dist.all_gather_into_tensor)
_reduce_scatter_single = getattr(dist, "reduce_scatter_single", dist.reduce_scatter_tensor)


class _Copy(torch.autograd.Function):
    """Identity; backward all-reduces."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _all_reduce(grad, ctx.group), None


class _Reduce(torch.autograd.Function):
    """All-reduce; backward is the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        return _all_reduce(x, group)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _GatherSequence(torch.autograd.Function):
    """All-gather along dimension 1; backward reduce-scatters, or only slices when consumers are replicated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group, sum_grads: bool) -> Tensor:
        ctx.group, ctx.sum_grads = group, sum_grads
        return _all_gather(x, group)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        if ctx.sum_grads:
            return _reduce_scatter(grad, ctx.group), None, None
        return grad.chunk(ctx.group.size(), 1)[ctx.group.rank()].contiguous(), None, None


class _ScatterSequence(torch.autograd.Function):
    """Reduce-scatter along dimension 1; backward all-gathers."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return _reduce_scatter(x, group)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _all_gather(grad, ctx.group), None


def enter(x: Tensor, group: Group, sharded_sequence: bool) -> Tensor:
    """Activations outside a region -> full activations on every rank of `group`."""
    return _GatherSequence.apply(x, group, True) if sharded_sequence else _Copy.apply(x, group)


def leave(x: Tensor, group: Group, sharded_sequence: bool) -> Tensor:
    """Partial sums of a region -> activations outside it."""
    return _ScatterSequence.apply(x, group) if sharded_sequence else _Reduce.apply(x, group)


def gather_sequence(x: Tensor, group: Group) -> Tensor:
    """Sequence shards -> the full sequence, for computation that every rank repeats alike."""
    return _GatherSequence.apply(x, group, False)


def _all_reduce(x: Tensor, group: Group) -> Tensor:
    x = x.contiguous().clone()
    dist.all_reduce(x, group=group)
    return x


def _all_gather(x: Tensor, group: Group) -> Tensor:
    """(B, S/n, ...) -> (B, S, ...)."""
    parts = x.transpose(0, 1).contiguous()
    whole = parts.new_empty((parts.shape[0] * group.size(), *parts.shape[1:]))
    _all_gather_single(whole, parts, group=group)
    return whole.transpose(0, 1).contiguous()


def _reduce_scatter(x: Tensor, group: Group) -> Tensor:
    """(B, S, ...) -> (B, S/n, ...), summed over the group."""
    whole = x.transpose(0, 1).contiguous()
    part = whole.new_empty((whole.shape[0] // group.size(), *whole.shape[1:]))
    _reduce_scatter_single(part, whole, group=group)
    return part.transpose(0, 1).contiguous()
