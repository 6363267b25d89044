"""Tensor parallelism: weights are stored as DTensors, so that FSDP2, optimizers and checkpoints see true placements;
modules compute on their local shards as plain tensors, with explicit collectives where activations meet.

A model names a role for each module that owns weights (pretrain/models/sharding.py). The roles:

  region                the module's first input enters a region (and dropout inside differs by rank)
  enter                 the module's output enters a region
  column, row           linear layers whose outputs, resp. inputs, are split
  heads                 a (buckets, heads) table, split by heads
  vocabulary-embedding  rows split; output leaves the region
  vocabulary-head       rows split; computes the loss without gathering logits
  replicated            computes on the residual stream, hence on sequence shards: gradients are partial sums
  split                 computes on the whole sequence, then keeps this rank's sequence shard
  gather                needs the whole sequence of the residual stream; every rank repeats the computation
  assemble              hands on the whole sequence to modules that split what they make of it again
  whole                 computes on what is equal on every rank
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_tensor

from .collectives import enter, gather_sequence, leave
from .vocabulary import parallel_linear_cross_entropy_sum, partial_embedding


def apply_tensor_parallel(
    module: nn.Module, plan: Mapping[str, str], mesh: DeviceMesh, sharded_sequence: bool, dropout: bool
) -> None:
    """Split `module` in place over the 1-D `mesh`. Every parameter becomes a DTensor; no communication happens here."""
    roles = _Roles(mesh, sharded_sequence, dropout)
    for path, child in list(module.named_modules()):
        role = next((role for pattern, role in plan.items() if _matches(path, pattern)), None)
        if role is not None:
            roles.assign(child, role)
    plain = [name for name, parameter in module.named_parameters() if not isinstance(parameter, DTensor)]
    assert not plain, f"the tensor-parallel plan names no role for {plain}"


def _matches(path: str, pattern: str) -> bool:
    return path.count(".") == pattern.count(".") and fnmatchcase(path, pattern)


class _Roles:
    """One method for each role."""

    def __init__(self, mesh: DeviceMesh, sharded_sequence: bool, dropout: bool) -> None:
        self.mesh, self.sharded, self.dropout = mesh, sharded_sequence, dropout
        self.group, self.rank = mesh.get_group(), mesh.get_local_rank()
        # A weight used on sequence shards sees part of the tokens on each rank.
        self.on_shards = Partial() if sharded_sequence else None

    def assign(self, module: nn.Module, role: str) -> None:
        getattr(self, role.replace("-", "_"))(module)

    def enter_region(self, x: Tensor) -> Tensor:
        return enter(x, self.group, self.sharded)

    def leave_region(self, x: Tensor) -> Tensor:
        return leave(x, self.group, self.sharded)

    def region(self, module: nn.Module) -> None:
        module.register_forward_pre_hook(lambda _, args: (self.enter_region(args[0]), *args[1:]))
        if self.dropout and not self.sharded:  # with sequence shards every rank draws its own numbers anyway
            fork = _RngFork(self.rank)
            module.register_forward_pre_hook(fork.begin)
            module.register_forward_hook(fork.end)

    def enter(self, module: nn.Module) -> None:
        module.register_forward_hook(lambda _, args, out: self.enter_region(out))

    def assemble(self, module: nn.Module) -> None:
        if self.sharded:  # else every rank computes the same, and has the whole gradient
            self.enter(module)

    def column(self, module: nn.Module) -> None:
        self._store(module, weight=Shard(0), bias=Shard(0))

    def row(self, module: nn.Linear) -> None:
        self._store(module, weight=Shard(1), bias=Replicate(), partial=("bias",))

        def forward(x: Tensor) -> Tensor:
            out = self.leave_region(F.linear(x, module.weight))
            return out if module.bias is None else out + module.bias

        module.forward = forward  # type: ignore[method-assign, assignment]

    def heads(self, module: nn.Module) -> None:
        self._store(module, weight=Shard(1))

    def replicated(self, module: nn.Module) -> None:
        self._store(module, weight=Replicate(), bias=Replicate(), partial=("weight", "bias"))

    def whole(self, module: nn.Module) -> None:
        self._store(module, weight=Replicate(), bias=Replicate())

    def gather(self, module: nn.Module) -> None:
        self.whole(module)
        if self.sharded:
            module.register_forward_pre_hook(lambda _, args: (gather_sequence(args[0], self.group),))

    def split(self, module: nn.Module) -> None:
        self.replicated(module)
        if self.sharded:
            size = self.mesh.size()
            module.register_forward_hook(lambda _, args, out: out.chunk(size, 1)[self.rank])

    def vocabulary_embedding(self, module: nn.Embedding) -> None:
        self._store(module, weight=Shard(0))
        module.forward = lambda ids: self.leave_region(  # type: ignore[method-assign, assignment]
            partial_embedding(ids, module.weight, self.rank)
        )

    def vocabulary_head(self, module: nn.Module) -> None:
        self._store(module, weight=Shard(0), bias=Shard(0))

        def forward(x: Tensor, tied_weight: Tensor | None, labels: Tensor | None) -> Tensor:
            weight = module.weight if tied_weight is None else tied_weight
            x = self.enter_region(x)
            if labels is not None:
                return parallel_linear_cross_entropy_sum(x, weight, module.bias, labels, self.group)  # type: ignore[arg-type]
            logits = F.linear(x, weight, module.bias)  # type: ignore[arg-type]
            return gather_sequence(logits.transpose(1, 2), self.group).transpose(1, 2)

        module.forward = forward

    def _store(self, module: nn.Module, partial: tuple[str, ...] = (), **placements: Placement) -> None:
        """Keep the module's own parameters as DTensors and let its code see local shards."""
        for name, parameter in list(module.named_parameters(recurse=False)):
            stored = distribute_tensor(parameter.data, self.mesh, [placements[name]], src_data_rank=None)
            module.register_parameter(name, nn.Parameter(stored))
        _see_local_shards(module, self.mesh, dict.fromkeys(partial, self.on_shards))


def _see_local_shards(module: nn.Module, mesh: DeviceMesh, grads: Mapping[str, Placement | None]) -> None:
    """Make `module.weight` read as this rank's plain tensor. grads: parameter -> placement of its local gradient.

    Only while the weight is gathered over data-parallel ranks, which is when forward runs: FSDP's own bookkeeping of
    the sharded weight, a DTensor on a larger mesh, must keep seeing the DTensor.
    """
    base = type(module)

    def __getattr__(self: nn.Module, name: str) -> Any:
        value = base.__getattr__(self, name)
        if not isinstance(value, DTensor) or value.device_mesh != mesh:
            return value
        placement = grads.get(name)
        return value.to_local(grad_placements=None if placement is None else [placement])

    module.__class__ = type(base.__name__, (base,), {"__getattr__": __getattr__})


class _RngFork:
    """Random numbers inside a region differ by rank, outside they stay equal; both follow from the outer state."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.saved: list[tuple[Tensor, Tensor | None]] = []

    def begin(self, module: nn.Module, args: Any) -> None:
        if not module.training:
            return
        seed = int(torch.randint(2**62, ()))
        self.saved.append((torch.get_rng_state(), torch.cuda.get_rng_state() if _on_cuda() else None))
        torch.manual_seed(seed ^ self.rank)

    def end(self, module: nn.Module, args: Any, out: Any) -> None:
        if not module.training:
            return
        cpu, cuda = self.saved.pop()
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda)


def _on_cuda() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_initialized()
