"""Philox4x32-10 and dropout in PyTorch: 32-bit words in int64 tensors, because torch multiplies no unsigned ones."""

import torch
from torch import Tensor

from .draws import Draws, threshold

_WORD = 0xFFFFFFFF


def philox(counter: tuple[Tensor, ...], key: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Four random words for four counter words and two key words: int64 tensors that broadcast, modulo 2^32."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        # Products wrap modulo 2^64; what shifts and exclusive ors leave above bit 31 is cut off before the next one.
        a, b = (c0 & _WORD) * 0xD2511F53, (c2 & _WORD) * 0xCD9E8D57
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b, (a >> 32) ^ c3 ^ k1, a
        k0, k1 = k0 + 0x9E3779B9, k1 + 0xBB67AE85
    return c0 & _WORD, c1 & _WORD, c2 & _WORD, c3 & _WORD


def kept(draws: Draws, rows: int, columns: int, heads: int = 1) -> Tensor:
    """(B, heads, rows, columns) bool: the elements that survive."""
    at = lambda first, count: torch.arange(first, first + count, device=draws.samples.device)  # noqa: E731
    lead = draws.first_column % 4
    quad = at(draws.first_column // 4, (lead + columns + 3) // 4)
    row, head = at(draws.first_row, rows)[:, None], at(draws.first_head, heads)[:, None, None]
    seed, step, site = draws.stream.unbind()
    words = philox((head * 2**22 + quad, row, draws.samples[:, None, None, None], site), (seed, step))
    keep = torch.stack([word >= threshold(draws.p) for word in words], -1)
    return keep.flatten(-2)[..., lead : lead + columns]


def drop(x: Tensor, keep: Tensor, p: float) -> Tensor:
    """x / (1 - p) where keep (bool, of x's shape), 0 elsewhere; dtype of x."""
    return torch.where(keep, x * (1 / (1 - p)), 0.0)


def dropout(x: Tensor, draws: Draws) -> Tensor:
    """x (B, ..., D), dimensions between the first and the last are rows."""
    rows = x[0, ..., 0].numel()
    return drop(x, kept(draws, rows, x.shape[-1]).view(x.shape), draws.p)
