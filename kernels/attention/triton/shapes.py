"""Sizes and layouts that the kernels take for granted; needs no Triton."""

import torch
from torch import Tensor

GRANULE = 64
"""Positions that share one entry of a range table."""

MARGIN = 256
"""A bias line reaches this far beyond its radius, so that tiles of up to 128 by 128 need no clamping."""


def empty_heads_like(x: Tensor) -> Tensor:
    """An empty (B, H, S, K) tensor that is (B, S, H, K) in memory, so that joining the heads copies nothing."""
    return torch.empty_like(x.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)
