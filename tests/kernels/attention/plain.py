"""Plain twins: Philox 4x32-10 (Salmon et al. 2011) and attention with a given dropout mask."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

MASK = np.uint64(0xFFFFFFFF)


def philox(counter: Sequence[np.ndarray | int], key: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Four 32-bit words for four counter words, broadcast, and two key words."""
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(word).astype(np.uint64) for word in counter))
    k0, k1 = (np.uint64(word) for word in key)
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (b >> np.uint64(32)) ^ c1 ^ k0, b & MASK, (a >> np.uint64(32)) ^ c3 ^ k1, a & MASK
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & MASK, (k1 + np.uint64(0xBB67AE85)) & MASK
    return c0, c1, c2, c3


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
