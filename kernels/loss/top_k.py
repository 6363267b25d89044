"""The k likeliest ids of a projection to the vocabulary, a chunk of positions at a time: the logits are never whole.

Letters: N positions, D width, V vocabulary of this rank.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .linear import check, rows_of_chunk
from .reference import wide
from .split import Split


@torch.no_grad()
def linear_top_k(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    k: int,
    *,
    temperature: float = 1.0,
    split: Split | None = None,
    chunk_rows: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Ids (..., k) int64 and log-probabilities (..., k) of softmax((x weight^T + bias) / temperature), likeliest first.

    x (..., D), weight (V, D), bias (V). Of equal logits the lower id comes first. Log-probabilities are at least
    fp32, without gradient. chunk_rows: positions at a time, as for linear_cross_entropy_sum. With `split`, weight and
    bias are this rank's part, of one size on all ranks; x and the results are the same on all; two gathers over the
    ranks for each chunk, of k + 1 numbers and of k ids per position.
    Raises ValueError for shapes, dtypes or devices that disagree, when there is no position, when k or temperature is
    out of range, and for logits that are not finite, then on all ranks.
    """
    check(x, weight, bias)
    first, size = (split.first, split.size) if split else (0, weight.shape[0])
    if not 1 <= k <= size:
        raise ValueError(f"k {k}, expected 1 to {size}, the vocabulary")
    if not temperature > 0:
        raise ValueError(f"temperature {temperature} is not above 0")
    rows = x.flatten(0, -2)
    pieces = rows.split(chunk_rows or rows_of_chunk(len(rows), weight.shape[0]))
    results = [_top(F.linear(piece, weight, bias), k, temperature, first, split) for piece in pieces]
    ids, log_probabilities = (
        torch.cat(parts).unflatten(0, x.shape[:-1]) for parts in zip(*results, strict=True)
    )
    return ids, log_probabilities


def _top(logits: Tensor, k: int, t: float, first: int, split: Split | None) -> tuple[Tensor, Tensor]:
    rows = logits.to(wide(logits.dtype))
    columns = _first_of_largest(rows, min(k, rows.shape[1]))
    ids, values, lse = columns + first, rows.gather(1, columns), (rows / t).logsumexp(1, keepdim=True)
    if split is not None:
        parts = torch.stack(list(split.gather(torch.cat((values, lse), 1))))  # (ranks, N, k + 1)
        lse = parts[..., -1].logsumexp(0)[:, None]
        values, ids = torch.cat(list(parts[..., :-1]), 1), torch.cat(list(split.gather(ids)), 1)
    if not lse.isfinite().all():
        raise ValueError("logits that are not finite have no largest")
    # Equal values are in the order of their ids already.
    values, order = values.sort(dim=1, descending=True, stable=True)
    return ids.gather(1, order)[:, :k], values[:, :k] / t - lse


def _first_of_largest(rows: Tensor, k: int) -> Tensor:
    """Columns (N, k) of the k largest of each row (N, V), ascending; of equals, which topk leaves open, the first."""
    least = rows.topk(k).values[:, -1:]
    larger, equal = rows > least, rows == least
    wanted = k - larger.sum(1, keepdim=True)
    chosen = larger | (equal & (equal.cumsum(1, dtype=torch.int32) <= wanted))
    # Counted from the right, the chosen columns are the k largest numbers of their row. Where nan leaves fewer, clamp.
    from_right = torch.arange(rows.shape[1], 0, -1, dtype=torch.int32, device=rows.device)
    return rows.shape[1] - (from_right * chosen).topk(k).values.clamp(min=1).long()
