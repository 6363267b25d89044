"""What is done to each layer of a stage: eight-bit products, checkpointing, compilation, sharding over ranks.

Order matters and is that of runtime.py: tensor parallelism, eight bits, checkpointing, compilation, sharding.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

import taixue.kernels.attention  # noqa: F401  # registers an operator that is named below


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of a stage: the members of every ModuleDict called `layers`."""
    for name, child in module.named_modules():
        if name.rpartition(".")[2] == "layers" and isinstance(child, nn.ModuleDict):
            yield from child.values()


def take_in_eight_bits(block: nn.Module, scaling: str) -> None:
    """The large products of the block: modules that say how theirs are scaled."""
    for module in block.modules():
        if hasattr(module, "scaling"):
            module.scaling = scaling  # type: ignore[assignment]


def checkpoint_activations(block: nn.Module, mode: str) -> None:
    """mode "full": keep the block's inputs only; "selective": keep the matrix products too, recompute the rest."""
    context = {"full": None, "selective": partial(create_selective_checkpoint_contexts, _keep_products)}[mode]
    extra: dict[str, Any] = {} if context is None else {"context_fn": context}
    original: Callable[..., Any] = block.forward

    def forward(*args: Any) -> Any:  # a plain function: the compiler traces no functools.partial
        return checkpoint(original, *args, use_reentrant=False, **extra)

    # Replacing forward, unlike torch's wrapper module, leaves parameter names alone.
    block.forward = forward


_PRODUCTS = {
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.taixue.attention.default,
}


def _keep_products(context: Any, op: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if op in _PRODUCTS else CheckpointPolicy.PREFER_RECOMPUTE


def shard(
    module: nn.Module, mesh: DeviceMesh, compute_dtype: torch.dtype | None, keep_gathered: bool
) -> None:
    """FSDP2 (1-D mesh) or HSDP (2-D mesh: replicate, shard) on every block and on what is left of `module`.

    compute_dtype: parameters and activations are cast to it, gradients are reduced in fp32; None: no casting.
    keep_gathered: leave parameters of blocks gathered between forward and backward.
    """
    precision = MixedPrecisionPolicy()
    if compute_dtype is not None:
        precision = MixedPrecisionPolicy(param_dtype=compute_dtype, reduce_dtype=torch.float32)
    for block in blocks(module):
        fully_shard(block, mesh=mesh, mp_policy=precision, reshard_after_forward=not keep_gathered)
    # Its forward pass ends where its backward pass begins.
    fully_shard(module, mesh=mesh, mp_policy=precision, reshard_after_forward=False)
