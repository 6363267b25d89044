"""The gate of a gated feed-forward layer (Shazeer 2020): activation(a) * b, computed again in backward.

Two tensors rather than one packed projection: the checkpoints hold wi_0 and wi_1 apart, tensor parallelism splits each
by columns, and backward then needs no concatenation.
"""

import torch
from torch import Tensor

from ..dispatch import obstacle
from . import reference
from .reference import ACTIVATIONS

__all__ = ["ACTIVATIONS", "gate"]


def gate(a: Tensor, b: Tensor, activation: str) -> Tensor:
    """activation(a) * b, elementwise; a and b of one shape and dtype, (..., F). Backward keeps a and b only.

    activation: "gelu_new" (tanh approximation, T5 v1.1), "gelu", "relu", "silu" (SwiGLU). Raises ValueError where the
    tensors disagree or are empty.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r} is not one of {', '.join(ACTIVATIONS)}")
    if (a.shape, a.dtype, a.device) != (b.shape, b.dtype, b.device):
        raise ValueError(
            f"a {tuple(a.shape)} {a.dtype} on {a.device}, b {tuple(b.shape)} {b.dtype} on {b.device}"
        )
    if a.numel() == 0:
        raise ValueError(f"nothing to gate: a {tuple(a.shape)}")
    if obstacle("gated_ffn", a.device, a.dtype):
        return reference.gate(a, b, activation)
    from . import triton  # noqa: F401  registers the op

    return torch.ops.taixue.gate(a.contiguous(), b.contiguous(), activation)
