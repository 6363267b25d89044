"""Attention in PyTorch: the T5 relative position bias, masks, and scaled dot-product attention.

Letters: B batch, H heads, S query length, T key length, K head dim.
"""

import math

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


def attention_bias(
    query_length: int,
    key_length: int,
    *,
    table: Tensor | None = None,
    max_distance: int = 128,
    causal: bool = False,
    key_mask: Tensor | None = None,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor | None:
    """Everything that is added to attention scores, made once and shared by all layers of a stack.

    table: (buckets, H) relative position bias; bidirectional unless causal. key_mask: (B, T) bool, False hides a key.
    Returns a value for `attention`, here a dense (1 or B, 1 or H, S, T) tensor of `dtype`, or None if nothing is added.
    """
    bias: Tensor | None = None
    hidden = torch.finfo(dtype).min / 2  # two of them must not overflow to -inf, which would make NaN rows
    if table is not None or causal:
        distance = (
            torch.arange(key_length, device=device)[None] - torch.arange(query_length, device=device)[:, None]
        )
        if table is not None:
            index = relative_buckets(distance, table.shape[0], max_distance, bidirectional=not causal)
            bias = F.embedding(index, table).permute(2, 0, 1)[None].to(dtype)
        if causal:
            future = torch.zeros(query_length, key_length, dtype=dtype, device=device)
            future = future.masked_fill(distance > 0, hidden)
            bias = future[None, None] if bias is None else bias + future
    if key_mask is not None:
        padding = torch.zeros(key_mask.shape, dtype=dtype, device=device).masked_fill(~key_mask, hidden)
        bias = padding[:, None, None] if bias is None else bias + padding[:, None, None]
    return bias


def attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, *, scale: float, dropout: float = 0.0
) -> Tensor:
    """softmax(query key^T * scale + bias) value.

    query (B, H, S, K), key and value (B, H, T, K), bias from `attention_bias`; returns (B, H, S, K). dropout is the
    probability applied to attention weights.
    """
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout, scale=scale)
