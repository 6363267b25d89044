"""RMSNorm and LayerNorm in PyTorch; statistics in at least fp32, result in the dtype of the weight."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..dropout import Draws, dropout


def norm(x: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
    """RMSNorm of the last dimension without bias, LayerNorm with. x (..., D), weight and bias (D)."""
    if bias is not None:
        return F.layer_norm(x.to(weight.dtype), weight.shape, weight, bias, eps)
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return normed.to(weight.dtype) * weight


def add_norm(
    x: Tensor, update: Tensor, weight: Tensor, bias: Tensor | None, eps: float, draws: Draws | float | None
) -> tuple[Tensor, Tensor]:
    """s = x + dropout(update), and norm(s)."""
    total = x + (F.dropout(update, draws) if isinstance(draws, float) else dropout(update, draws))
    return total, norm(total, weight, bias, eps)
