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
    first = [draws.first_head, draws.first_row, draws.first_column]
    out: Tensor = torch.ops.taixue.kept(draws.stream, draws.samples, draws.p, first, [heads, rows, columns])
    return out


@torch.library.custom_op("taixue::kept", mutates_args=())
def _kept(stream: Tensor, samples: Tensor, p: float, first: list[int], counts: list[int]) -> Tensor:
    """first, counts: of heads, rows, columns. One op, for a compiler that sees ten rounds of Philox takes minutes."""
    at = lambda start, count: torch.arange(start, start + count, device=samples.device)  # noqa: E731
    lead = first[2] % 4
    quad = at(first[2] // 4, (lead + counts[2] + 3) // 4)
    row, head = at(first[1], counts[1])[:, None], at(first[0], counts[0])[:, None, None]
    seed, step, site = stream.unbind()
    words = philox((head * 2**22 + quad, row, samples[:, None, None, None], site), (seed, step))
    keep = torch.stack([word >= threshold(p) for word in words], -1)
    return keep.flatten(-2)[..., lead : lead + counts[2]].contiguous()


@_kept.register_fake
def _(stream: Tensor, samples: Tensor, p: float, first: list[int], counts: list[int]) -> Tensor:
    return samples.new_empty((samples.shape[0], *counts), dtype=torch.bool)


def drop(x: Tensor, keep: Tensor, p: float) -> Tensor:
    """x / (1 - p) where keep (bool, of x's shape), 0 elsewhere; dtype of x."""
    return torch.where(keep, x * (1 / (1 - p)), 0.0)


def dropout(x: Tensor, draws: Draws) -> Tensor:
    """x (B, ..., D), dimensions between the first and the last are rows."""
    rows = x[0, ..., 0].numel()
    return drop(x, kept(draws, rows, x.shape[-1]).view(x.shape), draws.p)
