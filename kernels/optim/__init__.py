"""Optimizer steps over local tensors: fused where a kernel takes them, multi-tensor PyTorch elsewhere.

Everywhere `scale` is a 0-dim tensor on the device that gradients are multiplied with on the way (clipping, loss scale),
or None. Gradients may be overwritten.
"""

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from .. import apex
from ..dispatch import obstacle
from . import cuda, reference

__all__ = ["adamw_step", "factored_square_sum", "factored_step_", "square_sums", "squared_sums"]


def square_sums(tensors: Sequence[Tensor]) -> Tensor:
    """Sum of squares of each tensor, (len(tensors),) float64 on their device.

    A CUDA C++ kernel adds them in double precision where it can be built.
    """
    _check(tensors)
    if not cuda.obstacle(tensors):
        return cuda.square_sums(tensors)
    return reference.square_sums(tensors)


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
    scale: Tensor | None = None,
    sizes: Tensor | None = None,
) -> None:
    """One step of AdamW (Loshchilov and Hutter 2019) on every parameter, in place; step counts from 1.

    With g = scale * gradient: m <- m + (1 - beta1)(g - m), v <- beta2 v + (1 - beta2) g^2, then
    p <- (1 - lr weight_decay) p - lr sizes[i] (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps).
    sizes (len(parameters),): what steps are relative to; None for 1. Raises ValueError where the lists disagree.
    """
    _check(parameters, gradients, means, squares)
    options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "step": step}
    module = _module([*parameters, *gradients, *means, *squares])
    if module is reference and sizes is None and apex.adamw_takes(parameters):
        apex.adamw_step(parameters, gradients, means, squares, scale=scale, **options)  # type: ignore[arg-type]
        return
    fitted = [None if tensor is None else tensor.to(parameters[0].dtype) for tensor in (scale, sizes)]
    module.adamw_step(parameters, gradients, means, squares, scale=fitted[0], sizes=fitted[1], **options)


def squared_sums(gradient: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Sums over columns (N) and over rows (M) of (scale gradient)^2 + 1e-30. gradient (N, M)."""
    _check([gradient])
    return _module([gradient]).squared_sums(gradient, _fit(scale, gradient))


def factored_square_sum(gradient: Tensor, scale: Tensor | None, rows: Tensor, columns: Tensor) -> Tensor:
    """Sum of squares of U = scale gradient rows columns^T; 0-dim float64. gradient (N, M), rows (N), columns (M)."""
    _check_factors(gradient, rows, columns)
    return _module([gradient]).factored_square_sum(gradient, _fit(scale, gradient), rows, columns)


def factored_step_(
    parameter: Tensor,
    gradient: Tensor,
    scale: Tensor | None,
    rows: Tensor,
    columns: Tensor,
    decay: Tensor,
    rate: Tensor,
) -> None:
    """parameter <- parameter (1 - decay) - rate U, with U as in factored_square_sum; decay and rate 0-dim."""
    _check([parameter], [gradient])
    _check_factors(gradient, rows, columns)
    decay, rate = decay.to(parameter.dtype), rate.to(parameter.dtype)
    step = _module([parameter, gradient]).factored_step_
    step(parameter, gradient, _fit(scale, gradient), rows, columns, decay, rate)


def _fit(scale: Tensor | None, like: Tensor) -> Tensor | None:
    return None if scale is None else scale.to(like.dtype)


def _module(tensors: Sequence[Tensor]) -> ModuleType:
    """Where the step is taken: triton or reference."""
    strided = "" if all(tensor.is_contiguous() for tensor in tensors) else "strided tensors"
    single = all(tensor.dtype == torch.float32 for tensor in tensors)
    dtype = torch.float32 if single else torch.float64
    if obstacle("optim", tensors[0].device, dtype, strided):
        return reference
    from . import triton

    return triton


def _check(*lists: Sequence[Tensor]) -> None:
    lengths = [len(tensors) for tensors in lists]
    if not lengths[0] or len(set(lengths)) > 1:
        raise ValueError(f"lists of {lengths} tensors: expected equal lengths, at least 1")
    # By lists first: hundreds of tensors in every step.
    forms = [[(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors] for tensors in lists]
    for several in forms[1:]:
        if several == forms[0]:
            continue
        for (shape, dtype, device), other in zip(forms[0], several, strict=True):
            if (shape, dtype, device) != other:
                raise ValueError(
                    f"{tuple(other[0])} {other[1]} on {other[2]} beside {tuple(shape)} {dtype} on {device}"
                )


def _check_factors(gradient: Tensor, rows: Tensor, columns: Tensor) -> None:
    if gradient.ndim != 2 or (*rows.shape, *columns.shape) != gradient.shape:
        raise ValueError(f"factors {tuple(rows.shape)} and {tuple(columns.shape)} of {tuple(gradient.shape)}")
