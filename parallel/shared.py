"""Parameters that several pipeline stages hold: a name that occurs twice is one parameter with replicas.

Embeddings shared with the LM head and T5's position tables are such. Replicas start equal and get the same summed
gradient, hence stay equal; no weight is ever broadcast.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


class SharedParameters:
    """The replicas of this rank's stages and the groups over which their gradients are summed."""

    def __init__(
        self,
        names_by_stage: Sequence[Sequence[str]],
        rank_of: Sequence[int],
        pipelines: Sequence[Sequence[int]],
        parts: Mapping[int, nn.Module],
    ) -> None:
        """names_by_stage: parameter names of every stage. Creates process groups: collective over all ranks."""
        holders: dict[str, list[int]] = defaultdict(list)
        for stage, names in enumerate(names_by_stage):
            for name in names:
                holders[name].append(stage)
        self._items: list[tuple[list[nn.Parameter], dist.ProcessGroup | None]] = []
        self._replicas: set[int] = set()
        groups: dict[tuple[int, ...], dist.ProcessGroup | None] = {}
        for name in sorted(name for name, stages in holders.items() if len(stages) > 1):
            stages = holders[name]
            ranks = tuple(sorted({rank_of[stage] for stage in stages}))
            if len(ranks) > 1 and ranks not in groups:
                groups[ranks] = _new_group(pipelines, ranks)
            mine = {stage: parts[stage].get_parameter(name) for stage in stages if stage in parts}
            if mine:
                self._items.append((list(mine.values()), groups.get(ranks)))
            self._replicas |= {id(parameter) for stage, parameter in mine.items() if stage != stages[0]}

    def is_replica(self, parameter: nn.Parameter) -> bool:
        """Whether another stage's copy of this parameter is the one that counts (in norms, in exports)."""
        return id(parameter) in self._replicas

    @torch.no_grad()
    def sum_gradients(self) -> None:
        """Give every replica the sum of all replicas' gradients. One all-reduce for each name held by several ranks.

        Call after the data-parallel reduction and before anything reads gradients.
        """
        for parameters, group in self._items:
            for parameter in parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            grads = [local(parameter.grad) for parameter in parameters if parameter.grad is not None]
            total = grads[0]
            for grad in grads[1:]:
                total.add_(grad)
            if group is not None:
                dist.all_reduce(total, group=group)
            for grad in grads[1:]:
                grad.copy_(total)


def _new_group(pipelines: Sequence[Sequence[int]], positions: Sequence[int]) -> dist.ProcessGroup | None:
    """The group of these positions in this rank's pipeline; None if it is not in it.

    Every rank creates every pipeline's group in the same order: local synchronisation deadlocks with overlapping
    groups (torch 2.13 derives the group's name from a per-rank count).
    """
    mine = None
    for pipeline in pipelines:
        group = dist.new_group([pipeline[position] for position in positions])
        if dist.get_rank() in pipeline and pipeline.index(dist.get_rank()) in positions:
            mine = group
    return mine
