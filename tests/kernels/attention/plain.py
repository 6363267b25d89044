"""Plain twins: Philox 4x32-10 (Salmon et al. 2011) and attention with a given dropout mask."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from taixue.kernels.dropout import Draws

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


def dropout_mask(draws: Draws, heads: int, queries: int, keys: int) -> Tensor:
    """(B, H, S, T) bool: the weights that survive, by the contract of kernels/dropout/draws.py."""
    head = draws.first_head + np.arange(heads)[:, None, None]
    m, n = draws.first_row + np.arange(queries)[:, None], np.arange(keys)
    sample = draws.samples.cpu().numpy()[:, None, None, None] % 2**32
    seed, step, site = draws.stream.tolist()
    words = philox((head * 2**22 + n // 4, m, sample, site), (seed, step))
    return torch.from_numpy(np.choose(n % 4, words) >= round(draws.p * 2**32))


def attention(
    query: Tensor, key: Tensor, value: Tensor, keep: Tensor, scale: float, dropout: float
) -> Tensor:
    """Softmax attention whose weights are masked by keep (B, H, S, T) and scaled up; no bias."""
    weights = (query @ key.transpose(-1, -2) * scale).softmax(-1)
    return (weights * keep / (1.0 - dropout)) @ value
