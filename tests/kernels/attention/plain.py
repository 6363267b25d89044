"""Plain twins: Philox 4x32-10 (Salmon et al. 2011) and attention with a given dropout mask."""

import numpy as np
import torch
from torch import Tensor

MASK = np.uint64(0xFFFFFFFF)


def philox(key: int, c0: np.ndarray, c1: np.ndarray, c2: np.ndarray) -> np.ndarray:
    """First of the four 32-bit words for the counters (c0, c1, c2, 0), broadcast."""
    c0, c1, c2 = (c.astype(np.uint64) for c in np.broadcast_arrays(c0, c1, c2))
    c3 = np.zeros_like(c0)
    k0, k1 = np.uint64(key & 0xFFFFFFFF), np.uint64(key >> 32)
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (b >> np.uint64(32)) ^ c1 ^ k0, b & MASK, (a >> np.uint64(32)) ^ c3 ^ k1, a & MASK
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & MASK, (k1 + np.uint64(0xBB67AE85)) & MASK
    return c0


def dropout_mask(seed: int, planes: int, queries: int, keys: int, dropout: float) -> Tensor:
    """(planes, S, T) bool: the weights that survive, as the kernels draw them."""
    n, m, plane = np.arange(keys), np.arange(queries)[:, None], np.arange(planes)[:, None, None]
    words = philox(seed, n, m, plane).astype(np.int64)
    signed = np.where(words >= 2**31, words - 2**32, words)
    uniform = np.where(signed < 0, -signed - 1, signed) * 4.6566127342e-10
    return torch.from_numpy(uniform >= dropout)


def attention(
    query: Tensor, key: Tensor, value: Tensor, keep: Tensor, scale: float, dropout: float
) -> Tensor:
    """Softmax attention whose weights are masked by keep (B, H, S, T) and scaled up; no bias."""
    weights = (query @ key.transpose(-1, -2) * scale).softmax(-1)
    return (weights * keep / (1.0 - dropout)) @ value
