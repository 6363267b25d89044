"""Initial weights: a pure function of (name, shape, standard deviation, seed), so that no layout changes them."""

import hashlib

import torch
from torch import Tensor


def init_weight(name: str, shape: tuple[int, ...], std: float, seed: int) -> Tensor:
    """The fp32 starting value of one parameter, on the CPU.

    Scales that start without effect and biases: 0. Weights of norms: 1. The rest: normal, of standard deviation std.
    """
    if name.endswith(("scale.weight", "group_bias.weight")):
        return torch.zeros(shape)
    if name.endswith("bias") or "norm." in name:
        return torch.ones(shape) if name.endswith("norm.weight") else torch.zeros(shape)
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.empty(shape).normal_(0.0, std, generator=generator)
