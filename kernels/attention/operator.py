"""`attention`, and the operator that carries its kernels through autograd, torch.compile and checkpointing.

Letters: B batch, H heads, S query length, T key length, K head dim, G kinds of groups.
"""

from typing import Any

import torch
from torch import Tensor

from ..dispatch import obstacle
from ..dispatch.registration import register
from ..dropout import Draws
from ..dropout.draws import COLUMNS, HEADS, threshold
from .bias import AttentionBias
from .reference import DenseBias, reference_attention
from .triton.shapes import empty_heads_like

LARGEST_HEAD_DIM = 128


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: AttentionBias | None,
    *,
    scale: float,
    dropout: Draws | float | None = None,
    group_scale: Tensor | None = None,
) -> Tensor:
    """softmax(query key^T * scale + bias + sum_g group_scale[g] * [same group g]) value.

    query (B, H, S, K), key and value (B, H, T, K), bias from `attention_bias`, group_scale (G, H) for the groups in
    it, ignored when it has none (text without annotation); returns (B, H, S, K). dropout: which attention
    weights are dropped; a number is a probability, with random numbers of torch's generator. A query that sees no key
    gets zeros. Gradients are the same bits in every run. Raises ValueError for shapes, dtypes or devices that disagree.
    """
    _check(query, key, value, bias, dropout, group_scale)
    groups = None if bias is None or group_scale is None else bias.groups
    weights = None if groups is None else group_scale
    dense = None if bias is None else bias.dense
    unfit = "head dim above 128" if query.shape[3] > LARGEST_HEAD_DIM else ""
    if dense is not None or obstacle("attention", query.device, query.dtype, unfit):
        added = DenseBias(None, None) if bias is None else bias.as_dense()
        return reference_attention(
            query, key, value, added, scale=scale, dropout=dropout, groups=groups, group_scale=weights
        )
    draws = Draws.unplaced(dropout, query)
    if draws is not None and threshold(draws.p) == 0:
        draws = None
    out, _ = torch.ops.taixue.attention(
        query,
        key,
        value,
        None if bias is None else bias.line,
        None if bias is None else bias.key_mask,
        None if bias is None else bias.query_segments,
        None if bias is None else bias.key_segments,
        None if bias is None else bias.key_range,
        None if bias is None else bias.query_range,
        groups,
        weights,
        None if draws is None else draws.stream,
        None if draws is None else draws.samples,
        scale,
        0.0 if draws is None else draws.p,
        0 if draws is None else draws.first_row,
        0 if draws is None else draws.first_head,
        False if bias is None else bias.causal,
        0 if bias is None else bias.radius,
    )
    return out


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    line: Tensor | None,
    key_mask: Tensor | None,
    query_segments: Tensor | None,
    key_segments: Tensor | None,
    key_range: Tensor | None,
    query_range: Tensor | None,
    groups: Tensor | None,
    group_scale: Tensor | None,
    stream: Tensor | None,
    samples: Tensor | None,
    scale: float,
    p: float,
    first_query: int,
    first_head: int,
    causal: bool,
    radius: int,
) -> tuple[Tensor, Tensor]:
    """(output (B, H, S, K), LSE (B, H, S) fp32): log2 of the sum of exp2(score / ln 2), inf where no key is seen.

    line, key_range, query_range, radius: see AttentionBias. stream, samples, p, first_query,
    first_head: as in Draws; None, None, 0, 0, 0 for no dropout.
    """
    from .triton import launch

    arguments = (
        line,
        key_mask,
        query_segments,
        key_segments,
        key_range,
        query_range,
        groups,
        group_scale,
        stream,
        samples,
    )
    rest = (scale, p, first_query, first_head, causal, radius)
    return launch.forward(launch.Arguments(query, key, value, *arguments, *rest))


def _fake(query: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return empty_heads_like(query), query.new_empty(query.shape[:3], dtype=torch.float32)


def _attention_backward(
    grad: Tensor,
    out: Tensor,
    lse: Tensor,
    of_line: bool,
    of_groups: bool,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    line: Tensor | None,
    key_mask: Tensor | None,
    query_segments: Tensor | None,
    key_segments: Tensor | None,
    key_range: Tensor | None,
    query_range: Tensor | None,
    groups: Tensor | None,
    group_scale: Tensor | None,
    stream: Tensor | None,
    samples: Tensor | None,
    scale: float,
    p: float,
    first_query: int,
    first_head: int,
    causal: bool,
    radius: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, key, value, line, group_scale; the last two are empty unless of_line, of_groups."""
    from .triton import launch

    masks = (line, key_mask, query_segments, key_segments, key_range, query_range, groups, group_scale)
    rest = (stream, samples, scale, p, first_query, first_head, causal, radius)
    arguments = launch.Arguments(query, key, value, *masks, *rest)
    return launch.backward(grad, out, lse, arguments, of_line=of_line, of_groups=of_groups)


def _backward_fake(
    grad: Tensor,
    out: Tensor,
    lse: Tensor,
    of_line: bool,
    of_groups: bool,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    line: Tensor | None,
    *rest: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    group_scale = rest[6]
    return (
        empty_heads_like(query),
        empty_heads_like(key),
        empty_heads_like(value),
        torch.empty_like(line) if of_line and line is not None else lse.new_empty(0),
        torch.empty_like(group_scale) if of_groups else lse.new_empty(0),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*output, *inputs[:13])
    ctx.options = inputs[13:]


def _differentiate(ctx: Any, grad: Tensor, grad_lse: Tensor | None) -> tuple[Tensor | None, ...]:
    out, lse, *inputs = ctx.saved_tensors
    of_line, of_groups = ctx.needs_input_grad[3], ctx.needs_input_grad[10]
    dq, dk, dv, dline, dgroups = torch.ops.taixue.attention_backward(
        grad, out, lse, of_line, of_groups, *inputs, *ctx.options
    )
    nothing = (None,) * 6
    return (
        dq,
        dk,
        dv,
        dline if of_line else None,
        *nothing,
        dgroups if of_groups else None,
        *nothing,
        *nothing[:2],
    )


register("attention", _attention, _fake, _save, _differentiate)
register("attention_backward", _attention_backward, _backward_fake)


def _check(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: AttentionBias | None,
    dropout: Draws | float | None,
    group_scale: Tensor | None,
) -> None:
    """Everything a kernel takes for granted."""
    shapes = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
    if query.dim() != 4 or key.dim() != 4 or value.dim() != 4:
        raise ValueError(f"{shapes}: each must be (batch, heads, length, head dim)")
    if key.shape != value.shape or query.shape[:2] != key.shape[:2] or query.shape[3] != key.shape[3]:
        raise ValueError(f"{shapes}: batch, heads and head dim must agree, and the lengths of key and value")
    if 0 in query.shape or 0 in key.shape:
        raise ValueError(f"{shapes}: no dimension may be 0")
    if not query.dtype == key.dtype == value.dtype:
        raise ValueError(f"query {query.dtype}, key {key.dtype}, value {value.dtype}: must be one dtype")
    if not query.device == key.device == value.device:
        raise ValueError(f"query on {query.device}, key on {key.device}, value on {value.device}")
    if isinstance(dropout, Draws):
        dropout.check(query)
        if dropout.first_head + query.shape[1] > HEADS or key.shape[2] > COLUMNS:
            raise ValueError(
                f"{dropout.first_head=}, {shapes}: dropout addresses {HEADS} heads and {COLUMNS} keys"
            )
    if bias is None:
        return
    if (bias.query_length, bias.key_length) != (query.shape[2], key.shape[2]):
        raise ValueError(
            f"bias made for {bias.query_length} queries and {bias.key_length} keys, but {shapes}: lengths must agree"
        )
    if bias.table is not None and bias.table.shape[1] != query.shape[1]:
        raise ValueError(
            f"position bias {tuple(bias.table.shape)} is for {bias.table.shape[1]} heads, but {shapes}"
        )
    if bias.device != query.device:
        raise ValueError(f"bias on {bias.device}, query on {query.device}")
    for name, value_ in (
        ("key_mask", bias.key_mask),
        ("segments", bias.query_segments),
        ("groups", bias.groups),
    ):
        if value_ is not None and len(value_) != len(query):
            raise ValueError(f"{name} {tuple(value_.shape)} for {len(value_)} samples, but {shapes}")
        if value_ is not None and value_.device != query.device:
            raise ValueError(f"{name} on {value_.device}, query on {query.device}")
    if group_scale is not None and bias.groups is not None:
        legal = (bias.groups.shape[1], query.shape[1])
        if group_scale.shape != legal:
            raise ValueError(
                f"group_scale {tuple(group_scale.shape)}: must be (kinds of groups, heads), {legal}"
            )
