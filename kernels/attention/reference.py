"""Attention in PyTorch: the T5 relative position bias, masks, and scaled dot-product attention.

Letters: B batch, H heads, S query length, T key length, K head dim.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


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


class AttentionBias(NamedTuple):
    """What one stack adds to its attention scores; models hand it on and do not look inside."""

    dense: Tensor | None  # (1 or B, 1 or H, S, T)
    groups: Tensor | None  # (B, G, S)


def attention_bias(
    query_length: int,
    key_length: int,
    *,
    table: Tensor | None = None,
    max_distance: int = 128,
    causal: bool = False,
    key_mask: Tensor | None = None,
    query_segments: Tensor | None = None,
    key_segments: Tensor | None = None,
    groups: Tensor | None = None,
    dtype: torch.dtype,
    device: torch.device,
) -> AttentionBias | None:
    """Everything that is added to attention scores, made once and shared by all layers of a stack.

    table: (buckets, H) relative position bias; bidirectional unless causal. key_mask: (B, T) bool, False hides a key.
    query_segments, key_segments: (B, S) and (B, T) integers, the packed document of each position; a query sees the
    keys of its own document only. groups: (B, G, S) integers for self-attention: two positions with the same number,
    not 0, are in one group (a word, a clause) of that kind, which `attention`'s group_scale weighs.
    Returns a value for `attention`, or None if nothing is added.
    """
    dense: Tensor | None = None
    hidden = torch.finfo(dtype).min / 4  # three of them must not overflow to -inf, which would make NaN rows

    def hide(where: Tensor) -> None:
        nonlocal dense
        mask = torch.zeros(where.shape, dtype=dtype, device=device).masked_fill(where, hidden)
        dense = mask if dense is None else dense + mask

    if table is not None or causal:
        distance = (
            torch.arange(key_length, device=device)[None] - torch.arange(query_length, device=device)[:, None]
        )
        if table is not None:
            index = relative_buckets(distance, table.shape[0], max_distance, bidirectional=not causal)
            dense = F.embedding(index, table).permute(2, 0, 1)[None].to(dtype)
        if causal:
            hide((distance > 0)[None, None])
    if key_mask is not None:
        hide(~key_mask[:, None, None])
    if query_segments is not None and key_segments is not None:
        hide((query_segments[:, :, None] != key_segments[:, None])[:, None])
    return None if dense is None and groups is None else AttentionBias(dense, groups)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: AttentionBias | None,
    *,
    scale: float,
    dropout: float = 0.0,
    group_scale: Tensor | None = None,
) -> Tensor:
    """softmax(query key^T * scale + bias + sum_g group_scale[g] * [same group g]) value.

    query (B, H, S, K), key and value (B, H, T, K), bias from `attention_bias`, group_scale (G, H) for the groups in
    it; returns (B, H, S, K). dropout is the probability applied to attention weights.
    """
    dense, groups = bias or (None, None)
    if groups is not None and group_scale is not None:
        same = (groups[..., None] == groups[..., None, :]) & (groups[..., None] != 0)  # (B, G, S, S)
        grouped = torch.einsum("bgst,gh->bhst", same.to(group_scale.dtype), group_scale).to(query.dtype)
        dense = grouped if dense is None else dense + grouped
    return F.scaled_dot_product_attention(query, key, value, attn_mask=dense, dropout_p=dropout, scale=scale)
