"""Attention in PyTorch, with everything that is added to the scores as one dense tensor.

Letters: B batch, H heads, S query length, T key length, K head dim, G kinds of groups.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..dropout import Draws
from ..dropout.reference import drop, kept


def relative_buckets(distance: Tensor, buckets: int, max_distance: int, bidirectional: bool) -> Tensor:
    """Bucket of each signed distance (key position - query position), int64, same shape.

    T5 (Raffel et al. 2020, section 2.1): half of the buckets hold one distance each, the rest grow logarithmically up
    to max_distance; bidirectional attention uses one half of the buckets for keys to the right.
    """
    offset = torch.zeros_like(distance)
    if bidirectional:
        buckets //= 2
        offset = (distance > 0).long() * buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    # fp32 on purpose: the published models were trained with fp32 logarithms at the bucket borders.
    growth = torch.log(distance.float().clamp(min=1) / exact) / math.log(max_distance / exact)
    far = (exact + (growth * (buckets - exact)).long()).clamp(max=buckets - 1)
    return offset + torch.where(distance < exact, distance, far)


class DenseBias(NamedTuple):
    """What is added to the scores, and which queries see no key."""

    added: Tensor | None  # (1 or B, 1 or H, S, T)
    blind: Tensor | None  # (B, 1, S or 1, 1) bool


def dense_bias(
    query_length: int,
    key_length: int,
    *,
    table: Tensor | None,
    max_distance: int,
    causal: bool,
    key_mask: Tensor | None,
    query_segments: Tensor | None,
    key_segments: Tensor | None,
    dtype: torch.dtype,
    device: torch.device,
) -> DenseBias:
    """The arguments of `attention_bias` as tensors over (query, key) pairs."""
    distance = (
        torch.arange(key_length, device=device)[None] - torch.arange(query_length, device=device)[:, None]
    )
    added: Tensor | None = None
    hidden: Tensor | None = None
    if table is not None:
        index = relative_buckets(distance, table.shape[0], max_distance, bidirectional=not causal)
        added = F.embedding(index, table).permute(2, 0, 1)[None].to(dtype)
    if causal:
        hidden = (distance > 0)[None, None]
    if key_mask is not None:
        padded = ~key_mask[:, None, None]
        hidden = padded if hidden is None else hidden | padded
    if query_segments is not None and key_segments is not None:
        apart = (query_segments[:, :, None] != key_segments[:, None])[:, None]
        hidden = apart if hidden is None else hidden | apart
    if hidden is None:
        return DenseBias(added, None)
    # Finite, because a row of -inf makes NaN in some implementations; room is left for what attention adds.
    added = torch.zeros((), dtype=dtype, device=device) if added is None else added
    masked = torch.where(hidden, torch.finfo(dtype).min / 4, added)
    everything_seen = key_mask is None and query_segments is None
    return DenseBias(masked, None if everything_seen else hidden.all(-1, keepdim=True))


def reference_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: DenseBias,
    *,
    scale: float,
    dropout: Draws | float | None = None,
    groups: Tensor | None = None,
    group_scale: Tensor | None = None,
) -> Tensor:
    """See `attention`; groups (B, G, S) and group_scale (G, H) come together."""
    added = bias.added
    if groups is not None and group_scale is not None:
        same = (groups[..., None] == groups[..., None, :]) & (groups[..., None] != 0)  # (B, G, S, S)
        grouped = torch.einsum("bgst,gh->bhst", same.to(group_scale.dtype), group_scale).to(query.dtype)
        added = grouped if added is None else added + grouped
    if isinstance(dropout, Draws):
        out = _weights(query, key, added, scale, dropout) @ value
    else:
        out = F.scaled_dot_product_attention(
            query, key, value, attn_mask=added, dropout_p=dropout or 0.0, scale=scale
        )
    return out if bias.blind is None else out.masked_fill(bias.blind, 0.0)


def _weights(query: Tensor, key: Tensor, added: Tensor | None, scale: float, draws: Draws) -> Tensor:
    """(B, H, S, T) attention weights with some dropped, in the dtype of the query; softmax in at least fp32."""
    scores = query @ key.transpose(-1, -2) * scale
    scores = scores if added is None else scores + added
    wide = torch.float32 if query.dtype in (torch.bfloat16, torch.float16) else query.dtype
    weights = scores.softmax(-1, dtype=wide).to(query.dtype)
    _, heads, queries, keys = weights.shape
    return drop(weights, kept(draws, queries, keys, heads), draws.p)
