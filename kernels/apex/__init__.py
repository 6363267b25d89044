"""NVIDIA apex, probed symbol by symbol: used where it is built and our kernels are not, never required.

apex is built from source; the package of that name on the public index is another project, so that only its compiled
modules are looked for. What is used: amp_C.multi_tensor_adam, the kernel of FusedAdam; and
fused_weight_gradient_mlp_cuda.wgrad_gemm_accum_fp32, which adds a weight gradient to an fp32 sum inside the product.
FusedLAMB's kernel is reported only: it takes norms of local tensors, which are not those of sharded parameters.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

SYMBOLS = {
    "FusedAdam": ("amp_C", "multi_tensor_adam"),
    "FusedLAMB": ("amp_C", "multi_tensor_lamb"),
    "weight gradient accumulation": ("fused_weight_gradient_mlp_cuda", "wgrad_gemm_accum_fp32"),
}
"""What apex calls it -> (compiled module, function)."""

CHUNK = 65536
"""Numbers per block of apex's multi-tensor kernels, as apex sets it."""


@cache
def symbol(name: str) -> Callable[..., Any] | None:
    """One of SYMBOLS, None when this machine has not got it or it does not load."""
    module, function = SYMBOLS[name]
    try:
        return getattr(import_module(module), function, None)
    except (ImportError, OSError):
        return None


def found() -> list[str]:
    """The names of SYMBOLS that are here."""
    return [name for name in SYMBOLS if symbol(name) is not None]


def adamw_takes(parameters: Sequence[Tensor]) -> bool:
    """Whether adamw_step can take these parameters."""
    return (
        all(p.is_cuda and p.dtype == torch.float32 and p.is_contiguous() for p in parameters)
        and symbol("FusedAdam") is not None
    )


def adamw_step(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    means: Sequence[Tensor],
    squares: Sequence[Tensor],
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    step: int,
    scale: Tensor | None,
) -> None:
    """As kernels.optim.adamw_step, without sizes."""
    kernel = symbol("FusedAdam")
    assert kernel is not None
    if scale is not None:
        torch._foreach_mul_(list(gradients), scale.to(gradients[0].dtype))
    overflow = torch.zeros(1, dtype=torch.int32, device=parameters[0].device)
    lists = [list(gradients), list(parameters), list(means), list(squares)]
    decoupled, corrected = 1, 1
    kernel(CHUNK, overflow, lists, lr, *betas, eps, step, decoupled, corrected, weight_decay)


def accumulate_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total (V, D) fp32 += left (N, V)^T right (N, D)."""
    kernel = symbol("weight gradient accumulation") if total.is_cuda else None
    if kernel is not None and total.dtype == torch.float32 and left.dtype in (torch.bfloat16, torch.float16):
        kernel(right, left, total)
    elif total.dtype == left.dtype:
        total.addmm_(left.t(), right)
    else:
        total += left.t() @ right
