"""Sums over a logical tensor whose pieces lie on several ranks: what an optimizer needs to know of sharding.

A parameter is a plain tensor or a DTensor on a mesh with dims among (dp_replicate, dp_shard, tp). On a
mesh dim where it is sharded (Shard or FSDP2's strided shard) every rank holds another piece; on the others
all hold the same.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor.placement_types import Placement

from taixue.parallel.shared import local


def splitting(tensor: Tensor, *dims: int) -> list[ProcessGroup]:
    """The process groups over which the given tensor dims (all, when none is given) are split."""
    if not isinstance(tensor, DTensor):
        return []
    wanted = dims or tuple(range(tensor.ndim))
    mesh = tensor.device_mesh
    return [
        mesh.get_group(i) for i, p in enumerate(tensor.placements) if _dim(p) in wanted and mesh.size(i) > 1
    ]


def sum_over(values: Sequence[Tensor], groups: Sequence[Sequence[ProcessGroup]]) -> None:
    """Sum values[i] in place over every group in groups[i], in the order of ranks.

    Collectives: one all_gather for each distinct group, of everything that needs it. Ranks of one group must call with
    the same list, as they do when the list follows the parameters of one pipeline stage. An all_reduce would add in an
    order that depends on the place in the list, and replicas of a parameter in two stages would drift apart.
    """
    for group in _distinct(groups):
        members = [value for value, several in zip(values, groups, strict=True) if group in several]
        total = _sum_by_rank(torch.cat([value.reshape(-1) for value in members]), group)
        for value, part in zip(members, total.split([value.numel() for value in members]), strict=True):
            value.copy_(part.view_as(value))


class Means:
    """Means over N logical tensors of which this rank holds pieces. Their layout is looked at once: a step asks for the
    same tensors again, and a device waits for a host that does something for each of hundreds.
    """

    def __init__(self, likes: Sequence[Tensor]) -> None:
        """likes: tensors laid out as those that are meant, N > 0 of them."""
        groups = [splitting(like) for like in likes]
        device = local(likes[0]).device
        self._members = [
            (group, torch.tensor([n for n, several in enumerate(groups) if group in several], device=device))
            for group in _distinct(groups)
        ]
        self._numel = torch.tensor([like.numel() for like in likes], device=device)

    def of(self, sums: Tensor) -> Tensor:
        """Sums over local pieces (N,) to means over the whole. Collectives: one all_gather for each distinct process
        group that splits some of the tensors."""
        sums = sums.clone()
        for group, members in self._members:
            sums[members] = _sum_by_rank(sums[members], group)
        return sums / self._numel


def _distinct(groups: Sequence[Sequence[ProcessGroup]]) -> list[ProcessGroup]:
    return list(dict.fromkeys(group for several in groups for group in several))


def _sum_by_rank(values: Tensor, group: ProcessGroup) -> Tensor:
    parts = [torch.empty_like(values) for _ in range(group.size())]
    dist.all_gather(parts, values, group=group)
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total


def zeros_along(parameter: Tensor, dim: int) -> Tensor:
    """A zero vector, one entry per index of `dim` of a matrix: split as that dim is, replicated elsewhere."""
    if not isinstance(parameter, DTensor):
        return parameter.new_zeros(parameter.shape[dim])
    placements = [_moved(p) if _dim(p) == dim else Replicate() for p in parameter.placements]
    piece = parameter.to_local()
    length = parameter.shape[dim]
    return DTensor.from_local(
        piece.new_zeros(piece.shape[dim]),
        parameter.device_mesh,
        placements,
        run_check=False,
        shape=torch.Size([length]),
        stride=(1,),
    )


def _dim(placement: Placement) -> int | None:
    """The tensor dim that a placement splits. Both kinds of shard carry it; Replicate has none."""
    return getattr(placement, "dim", None)


def _moved(placement: Placement) -> Placement:
    """The same split, of dim 0."""
    if placement.dim == 0:  # type: ignore[attr-defined]
        return placement
    factor = getattr(placement, "split_factor", None)
    if factor is None:
        return type(placement)(0)  # type: ignore[call-arg]
    return type(placement)(0, split_factor=factor)  # type: ignore[call-arg]
