"""Tensor parallelism: weights are stored as DTensors, so that FSDP2, optimizers and checkpoints see true placements;
modules compute on their local shards as plain tensors, with explicit collectives where activations meet.

A model names a role for each module that owns weights (pretrain/models/sharding.py). The roles:

  region                the module's first input enters a region
  enter                 the module's output enters a region
  column, row           linear layers whose outputs, resp. inputs, are split
  heads                 a (buckets, heads) table, split by heads
  vocabulary-embedding  rows split; output leaves the region
  vocabulary-head       rows split; computes the loss without gathering logits
  replicated            computes on the residual stream, hence on sequence shards: gradients are partial sums
  split                 computes on the whole sequence, then keeps this rank's sequence shard
  gather                needs the whole sequence of the residual stream; every rank repeats the computation
  pick                  picks positions (B, P) of the residual stream, to be its sequence from here on; None: all
  assemble              hands on the whole sequence to modules that split what they make of it again
  whole                 computes on what is equal on every rank
  drop-states, -hidden, -heads   dropout on the residual stream, on hidden units, on attention weights
"""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_tensor

from taixue.kernels.dropout.places import Dropout
from taixue.kernels.loss import Targets, linear_loss_sums

from .collectives import enter, gather_sequence, leave
from .vocabulary import partial_embedding, vocabulary_split


def apply_tensor_parallel(
    module: nn.Module, plan: Mapping[str, str], mesh: DeviceMesh, sharded_sequence: bool
) -> None:
    """Split `module` in place over the 1-D `mesh`. Every parameter becomes a DTensor; no communication happens here."""
    split, named = _Split(mesh, sharded_sequence), set[str]()
    for path, child in list(module.named_modules()):
        role = next((role for pattern, role in plan.items() if _matches(path, pattern)), None)
        if role is None:
            continue
        named.add(path)
        if child._parameters:
            child = _seeing_local_shards(child, mesh)
            module.set_submodule(path, child)
        ROLES[role](child, split)
    blind = [
        path for path, child in module.named_modules() if isinstance(child, Dropout) and path not in named
    ]
    assert not blind, f"the tensor-parallel plan names no role for {blind}"
    plain = [name for name, parameter in module.named_parameters() if not isinstance(parameter, DTensor)]
    assert not plain, f"the tensor-parallel plan names no role for {plain}"


def _matches(path: str, pattern: str) -> bool:
    return path.count(".") == pattern.count(".") and fnmatchcase(path, pattern)


class _Split:
    """What every role needs to know: the ranks, and how activations lie outside the regions."""

    def __init__(self, mesh: DeviceMesh, sharded_sequence: bool) -> None:
        self.mesh, self.sharded = mesh, sharded_sequence
        self.group, self.rank, self.size = mesh.get_group(), mesh.get_local_rank(), mesh.size()

    def enter(self, x: Tensor) -> Tensor:
        return enter(x, self.group, self.sharded)

    def leave(self, x: Tensor) -> Tensor:
        return leave(x, self.group, self.sharded)

    def store(self, module: nn.Module, partial: tuple[str, ...] = (), **placements: Placement) -> None:
        """Keep the module's own parameters as DTensors. partial: those that are used on sequence shards, whose local
        gradients come from part of the tokens."""
        for name, parameter in list(module.named_parameters(recurse=False)):
            stored = distribute_tensor(parameter.data, self.mesh, [placements[name]], src_data_rank=None)
            module.register_parameter(name, nn.Parameter(stored))
        if self.sharded:
            module.partial_gradients = partial  # type: ignore[assignment]


# -- one function for each role ---------------------------------------------------------------------------------------


def _region(module: nn.Module, split: _Split) -> None:
    module.register_forward_pre_hook(lambda _, args: (split.enter(args[0]), *args[1:]))


def _enter(module: nn.Module, split: _Split) -> None:
    module.register_forward_hook(lambda _, args, out: split.enter(out))


def _assemble(module: nn.Module, split: _Split) -> None:
    if split.sharded:  # else every rank computes the same, and has the whole gradient
        _enter(module, split)


def _column(module: nn.Module, split: _Split) -> None:
    split.store(module, weight=Shard(0), bias=Shard(0))


def _row(module: nn.Module, split: _Split) -> None:
    split.store(module, weight=Shard(1), bias=Replicate(), partial=("bias",))

    def forward(x: Tensor) -> Tensor:
        out = split.leave(module.product(x))  # type: ignore[operator]
        return out if module.bias is None else out + module.bias  # type: ignore[operator]

    module.forward = forward


def _heads(module: nn.Module, split: _Split) -> None:
    split.store(module, weight=Shard(1))


def _replicated(module: nn.Module, split: _Split) -> None:
    split.store(module, weight=Replicate(), bias=Replicate(), partial=("weight", "bias"))


def _whole(module: nn.Module, split: _Split) -> None:
    split.store(module, weight=Replicate(), bias=Replicate())


def _gather(module: nn.Module, split: _Split) -> None:
    _whole(module, split)
    if split.sharded:
        module.register_forward_pre_hook(lambda _, args: (gather_sequence(args[0], split.group),))


def _pick(module: nn.Module, split: _Split) -> None:
    """Each rank has the positions of its sequence shard; sums of what all have are shared out again, as a sequence of
    P: P positions are exchanged, where to gather the sequence first takes S."""
    if not split.sharded:
        return
    plain = module.forward

    def forward(x: Tensor, positions: Tensor | None) -> Tensor:
        if positions is None:
            return x
        local = positions - split.rank * x.shape[1]
        mine = (local >= 0) & (local < x.shape[1])
        return split.leave(plain(x, local.where(mine, 0)) * mine[..., None].to(x.dtype))

    module.forward = forward


def _keep_part(module: nn.Module, split: _Split) -> None:
    _replicated(module, split)
    if split.sharded:
        module.register_forward_hook(lambda _, args, out: out.chunk(split.size, 1)[split.rank])


def _vocabulary_embedding(module: nn.Module, split: _Split) -> None:
    split.store(module, weight=Shard(0))
    module.forward = lambda ids: split.leave(partial_embedding(ids, module.weight, split.rank))  # type: ignore[arg-type]


def _vocabulary_head(module: nn.Module, split: _Split) -> None:
    split.store(module, weight=Shard(0), bias=Shard(0))

    def forward(x: Tensor, tied_weight: Tensor | None, targets: Targets | None) -> Any:
        weight = module.weight if tied_weight is None else tied_weight
        x = split.enter(x)
        if targets is not None:
            part = vocabulary_split(weight, split.group)  # type: ignore[arg-type]
            return linear_loss_sums(x, weight, module.bias, targets, split=part)  # type: ignore[arg-type]
        logits = F.linear(x, weight, module.bias)  # type: ignore[arg-type]
        return gather_sequence(logits.transpose(1, 2), split.group).transpose(1, 2)

    module.forward = forward


def _drop_states(module: nn.Module, split: _Split) -> None:
    assert isinstance(module, Dropout)
    if split.sharded:
        module.cut("rows", split.rank)


def _drop_hidden(module: nn.Module, split: _Split) -> None:
    assert isinstance(module, Dropout)
    module.cut("columns", split.rank)


def _drop_heads(module: nn.Module, split: _Split) -> None:
    assert isinstance(module, Dropout)
    module.cut("heads", split.rank)


ROLES: Mapping[str, Callable[[nn.Module, _Split], None]] = {
    "region": _region,
    "enter": _enter,
    "column": _column,
    "row": _row,
    "heads": _heads,
    "vocabulary-embedding": _vocabulary_embedding,
    "vocabulary-head": _vocabulary_head,
    "replicated": _replicated,
    "split": _keep_part,
    "gather": _gather,
    "pick": _pick,
    "assemble": _assemble,
    "whole": _whole,
    "drop-states": _drop_states,
    "drop-hidden": _drop_hidden,
    "drop-heads": _drop_heads,
}


# -- weights that are stored as DTensors and read as plain tensors ----------------------------------------------------


class LocalShards(nn.Module):
    """Mixed in before a module's own class: its parameters are stored as DTensors and read as this rank's part.

    `module.weight`, whoever asks, is a plain tensor; `module.named_parameters()` has the DTensors. This holds while the
    weight is gathered over data-parallel ranks, which is when forward runs: FSDP's own bookkeeping of the sharded
    weight, a DTensor on a larger mesh than tp_mesh, sees the DTensor.
    """

    tp_mesh: DeviceMesh
    partial_gradients: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)
        if not isinstance(value, DTensor) or value.device_mesh != self.tp_mesh:
            return value
        return value.to_local(grad_placements=[Partial()] if name in self.partial_gradients else None)


@cache
def _local_class(plain: type[nn.Module]) -> type[LocalShards]:
    return type(plain.__name__, (LocalShards, plain), {})


def _seeing_local_shards(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """A module with everything that `module` has, to stand in its place."""
    split_class = _local_class(type(module))  # type: ignore[arg-type]
    made = split_class.__new__(split_class)
    made.__dict__.update(module.__dict__)
    made.tp_mesh = mesh
    return made
