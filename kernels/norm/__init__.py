"""Normalisation over the last dimension, alone or fused with the residual add and the dropout before it."""

import torch
from torch import Tensor

from ..dispatch import obstacle
from ..dropout import Draws
from ..dropout.draws import threshold
from . import reference

__all__ = ["add_layer_norm", "add_rms_norm", "layer_norm", "rms_norm"]

WIDEST = 16384
"""Largest D with kernels: a row is held in registers."""


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019). x (..., D), weight (D); dtype of weight.

    Statistics in fp32. Raises ValueError where shapes or devices disagree or nothing is to be normed.
    """
    return _norm(x, weight, None, eps)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias (Ba et al. 2016). As rms_norm, bias (D)."""
    return _norm(x, weight, bias, eps)


def add_rms_norm(
    x: Tensor, update: Tensor, weight: Tensor, eps: float, dropout: Draws | float | None = None
) -> tuple[Tensor, Tensor]:
    """s = x + dropout(update) and rms_norm(s), in one pass. x and update (..., D) of one dtype.

    dropout: which elements of the update are dropped, x (B, ..., D) as in `taixue.kernels.dropout`; None: none. A
    number is a probability, with random numbers of torch's generator.
    """
    return _add_norm(x, update, weight, None, eps, dropout)


def add_layer_norm(
    x: Tensor, update: Tensor, weight: Tensor, bias: Tensor, eps: float, dropout: Draws | float | None = None
) -> tuple[Tensor, Tensor]:
    """s = x + dropout(update) and layer_norm(s), in one pass. As add_rms_norm."""
    return _add_norm(x, update, weight, bias, eps, dropout)


def _norm(x: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
    _check(x, None, weight, bias)
    if obstacle("norm", x.device, x.dtype, _unfit(weight)):
        return reference.norm(x, weight, bias, eps)
    from . import triton  # noqa: F401  registers the op

    rows = x.reshape(-1, x.shape[-1]).contiguous()
    return torch.ops.taixue.norm(rows, None, weight, bias, eps, 0.0, None, None, 0)[1].view(x.shape)


def _add_norm(
    x: Tensor, update: Tensor, weight: Tensor, bias: Tensor | None, eps: float, dropout: Draws | float | None
) -> tuple[Tensor, Tensor]:
    _check(x, update, weight, bias)
    if isinstance(dropout, Draws):
        dropout.check(x)
    if obstacle("norm", x.device, x.dtype, _unfit(weight)):
        return reference.add_norm(x, update, weight, bias, eps, dropout)
    from . import triton  # noqa: F401  registers the op

    rows, updates = (tensor.reshape(-1, x.shape[-1]).contiguous() for tensor in (x, update))
    draws = Draws.unplaced(dropout, x)
    place: tuple[float, Tensor | None, Tensor | None, int] = (0.0, None, None, 0)
    if draws is not None and threshold(draws.p) > 0:
        place = (draws.p, draws.stream, draws.samples, draws.first_row)
    total, normed, *_ = torch.ops.taixue.norm(rows, updates, weight, bias, eps, *place)
    return total.view(x.shape), normed.view(x.shape)


def _unfit(weight: Tensor) -> str:
    return f"rows wider than {WIDEST}" if weight.shape[0] > WIDEST else ""


def _check(x: Tensor, update: Tensor | None, weight: Tensor, bias: Tensor | None) -> None:
    if x.numel() == 0:
        raise ValueError(f"nothing to normalise: x {tuple(x.shape)}")
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.shape != x.shape[-1:]:
            raise ValueError(f"{name} {tuple(tensor.shape)} does not fit x {tuple(x.shape)}")
        if tensor is not None and tensor.device != x.device:
            raise ValueError(f"{name} on {tensor.device}, x on {x.device}")
    if bias is not None and bias.dtype != weight.dtype:
        raise ValueError(f"bias is {bias.dtype}, weight is {weight.dtype}")
    if update is not None and (update.shape, update.dtype, update.device) != (x.shape, x.dtype, x.device):
        raise ValueError(
            f"update {tuple(update.shape)} {update.dtype} on {update.device}, "
            f"x {tuple(x.shape)} {x.dtype} on {x.device}"
        )
