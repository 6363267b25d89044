"""Dropout whose mask is a function of the sample: draws.py says which numbers it draws."""

import torch
from torch import Tensor

from ..dispatch import obstacle
from . import reference
from .draws import Draws, site, threshold

__all__ = ["Draws", "dropout", "site"]


def dropout(x: Tensor, draws: Draws | None) -> Tensor:
    """x with elements dropped and the rest scaled up; x itself where draws are None or p is 0.

    x (B, ..., D) of any float dtype: dimension 0 samples, the last columns, those between rows in their order. Raises
    ValueError where the draws do not fit x.
    """
    if draws is None:
        return x
    draws.check(x, whole_rows=False)
    if threshold(draws.p) == 0 or x.numel() == 0:
        return x
    if obstacle("dropout", x.device, x.dtype):
        return reference.dropout(x, draws)
    from . import triton  # noqa: F401  registers the op

    flat = x.reshape(x.shape[0], -1, x.shape[-1]).contiguous()
    place = (draws.p, draws.stream, draws.samples, draws.first_row, draws.first_column)
    return torch.ops.taixue.dropout(flat, *place).view(x.shape)
