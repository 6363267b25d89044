"""The gate of a gated feed-forward layer in PyTorch."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def gelu_tanh(x: Tensor) -> Tensor:
    """The tanh approximation of GELU, as T5 v1.1 uses it."""
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": gelu_tanh,
    "relu": F.relu,
    "silu": F.silu,
}


def gate(a: Tensor, b: Tensor, activation: str) -> Tensor:
    """activation(a) * b."""
    return ACTIVATIONS[activation](a) * b
