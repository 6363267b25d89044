"""Initial weights: a pure function of (name, shape, config, seed), so that no layout changes them."""

import hashlib

import torch
from torch import Tensor

from ..config.schema import BertConfig, T5Config


def init_weight(name: str, shape: tuple[int, ...], config: T5Config | BertConfig, seed: int) -> Tensor:
    """The fp32 starting value of one parameter, on the CPU."""
    if name.endswith(("scale.weight", "group_bias.weight")):
        return torch.zeros(shape)
    if name.endswith("bias") or "norm." in name:
        return torch.ones(shape) if name.endswith("norm.weight") else torch.zeros(shape)
    std = _t5_std(name, config) if isinstance(config, T5Config) else 0.02
    if name == "relational.step.weight":
        std = shape[0] ** -0.5  # it is applied again and again
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.empty(shape).normal_(0.0, std, generator=generator)


def _t5_std(name: str, config: T5Config) -> float:
    """Mesh-TensorFlow T5's fan-in scaling; the untied head starts with unit-variance logits."""
    d, inner = config.d_model, config.num_heads * config.d_kv
    by_suffix = {
        "shared.weight": 1.0,
        "features.pos.weight": 1.0,
        "features.roles.weight": 1.0,
        ".q.weight": (d * config.d_kv) ** -0.5,
        ".o.weight": inner**-0.5,
        ".wo.weight": config.d_ff**-0.5,
    }
    return next((std for suffix, std in by_suffix.items() if name.endswith(suffix)), d**-0.5)
