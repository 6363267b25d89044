"""From tensors to kernel launches: layouts, tile shapes, grids."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
import triton
from torch import Tensor

from ...dropout.triton import constants as dropout_constants
from . import backward as backward_kernels
from . import line as line_kernels
from .forward import forward as forward_kernel
from .shapes import empty_heads_like
from .tiles import Tiles, choose

LINE_PROGRAMS = 384
"""Programs that share the bias line's gradient: about three for each multiprocessor of a large GPU."""

DIAGONALS = 128
"""Distances that one program of line.diagonals sums."""


@dataclass(frozen=True, eq=False)
class Arguments:
    """The inputs of the operator; see operator.py."""

    query: Tensor
    key: Tensor
    value: Tensor
    line: Tensor | None
    key_mask: Tensor | None
    query_segments: Tensor | None
    key_segments: Tensor | None
    key_range: Tensor | None
    query_range: Tensor | None
    groups: Tensor | None
    group_scale: Tensor | None
    stream: Tensor | None
    samples: Tensor | None
    scale: float
    p: float
    first_query: int
    first_head: int
    causal: bool
    radius: int


def forward(a: Arguments) -> tuple[Tensor, Tensor]:
    """(output (B, H, S, K), LSE (B, H, S) fp32)."""
    a = _contiguous(a)
    batch, heads, queries, _ = a.query.shape
    out = empty_heads_like(a.query)
    lse = a.query.new_empty((batch, heads, queries), dtype=torch.float32)
    tile = _tiles(a).forward
    with _device(a.query):
        forward_kernel[(triton.cdiv(queries, tile.m) * batch * heads,)](
            a.query, a.key, a.value, out, lse, *_strides(a), a.line, a.key_mask, a.query_segments, a.key_segments,
            a.key_range, a.groups, a.group_scale, *_draws(a), heads, queries, a.key.shape[2], a.scale, a.radius,
            BLOCK_M=tile.m, BLOCK_N=tile.n, EVEN=a.key.shape[2] % tile.n == 0, AHEAD=tile.ahead, **_constants(a),
            num_warps=tile.warps, num_stages=tile.stages,
        )  # fmt: skip
    return out, lse


def backward(
    grad: Tensor, out: Tensor, lse: Tensor, a: Arguments, *, of_line: bool, of_groups: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, key, value, line and group_scale; the last two are empty where they are not asked for."""
    a = _contiguous(a)
    grad, out = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (grad, out))
    batch, heads, queries, _ = a.query.shape
    keys = a.key.shape[2]
    planes = batch * heads
    tiles, constants = _tiles(a), _constants(a)
    dq, dk, dv = (empty_heads_like(x) for x in (a.query, a.key, a.value))
    delta = torch.empty_like(lse)
    tile = tiles.queries
    blocks = triton.cdiv(queries, tile.m)
    kinds = 0 if a.groups is None else a.groups.shape[1]
    block_g = triton.next_power_of_2(max(kinds, 1))
    far_sums = lse.new_empty((batch, heads, blocks, 2) if a.line is not None else 0)
    group_sums = lse.new_empty((batch, heads, blocks, block_g) if kinds else 0)
    masks = (a.line, a.key_mask, a.query_segments, a.key_segments)
    tail = (a.groups, a.group_scale, *_draws(a))
    with _device(a.query):
        backward_kernels.queries[(blocks * planes,)](
            a.query, a.key, a.value, out, grad, lse, delta, dq, far_sums, group_sums, *_strides(a), *masks,
            a.key_range, *tail, heads, queries, keys, a.scale, a.radius, BLOCK_M=tile.m, BLOCK_N=tile.n,
            BLOCK_G=block_g, EVEN=keys % tile.n == 0, AHEAD=tile.ahead, **constants,
            num_warps=tile.warps, num_stages=tile.stages,
        )  # fmt: skip
        tile = tiles.keys
        backward_kernels.keys[(triton.cdiv(keys, tile.n) * planes,)](
            a.query, a.key, a.value, grad, lse, delta, dk, dv, *_strides(a), *masks, a.query_range, *tail,
            heads, queries, keys, a.scale, a.radius, BLOCK_M=tile.m, BLOCK_N=tile.n,
            EVEN=queries % tile.m == 0, AHEAD=tile.ahead, **constants, num_warps=tile.warps, num_stages=tile.stages,
        )  # fmt: skip
        dline = lse.new_empty(0)
        if of_line and a.line is not None:
            dline = _line_gradient(a, grad, lse, delta, far_sums, tiles, constants)
    dgroups = lse.new_empty(0)
    if of_groups and a.group_scale is not None:
        dgroups = group_sums.sum((0, 2))[:, :kinds].t().to(a.group_scale.dtype).contiguous()
    return dq, dk, dv, dline, dgroups


def _line_gradient(
    a: Arguments,
    grad: Tensor,
    lse: Tensor,
    delta: Tensor,
    far_sums: Tensor,
    tiles: Tiles,
    constants: dict[str, Any],
) -> Tensor:
    assert a.line is not None
    batch, heads, queries, _ = a.query.shape
    keys = a.key.shape[2]
    tile = tiles.line
    blocks = triton.cdiv(queries, tile.m)
    # Offsets of tiles, in tiles, that hold more than one bias.
    widest = (a.radius + tile.m - 2) // tile.m
    left = min(widest, blocks - 1)
    right = 0 if a.causal else min(widest, triton.cdiv(keys, tile.m) - 1)
    offsets = left + right + 1
    splits = min(batch * blocks, triton.cdiv(LINE_PROGRAMS, offsets * heads))
    sums = lse.new_empty((splits, heads, offsets, tile.m, tile.m))
    line_kernels.tiles[(offsets, heads, splits)](
        a.query, a.key, a.value, grad, lse, delta, sums, *_strides(a), a.line, a.key_mask, a.query_segments,
        a.key_segments, a.key_range, a.groups, a.group_scale, *_draws(a), batch, heads, queries, keys,
        a.scale, a.radius, left, splits, BLOCK=tile.m, STAGES=tile.stages, **constants,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    dline = torch.empty_like(a.line)
    line_kernels.diagonals[(heads, triton.cdiv(dline.shape[1], DIAGONALS))](
        sums, far_sums, dline, batch, heads, blocks, a.radius, left, offsets, splits,
        BLOCK=tile.m, WIDTH=DIAGONALS, num_warps=4,
    )  # fmt: skip
    return dline


def _contiguous(a: Arguments) -> Arguments:
    """Rows of queries, keys and values must be contiguous; masks and ids wholly."""
    fixed: dict[str, Any] = {}
    for name in ("query", "key", "value"):
        value = getattr(a, name)
        fixed[name] = value if value.stride(-1) == 1 or value.shape[-1] == 1 else value.contiguous()
    for name in (
        "line",
        "query_segments",
        "key_segments",
        "key_range",
        "query_range",
        "groups",
        "group_scale",
    ):
        value = getattr(a, name)
        fixed[name] = None if value is None else value.contiguous()
    mask = None if a.key_mask is None else a.key_mask.contiguous().view(torch.uint8)
    return replace(a, key_mask=mask, **fixed)


def _strides(a: Arguments) -> tuple[int, ...]:
    return (*a.query.stride()[:3], *a.key.stride()[:3], *a.value.stride()[:3])


def _draws(a: Arguments) -> tuple[Tensor | None, Tensor | None, int, int]:
    return a.stream, a.samples, a.first_query, a.first_head


def _constants(a: Arguments) -> dict[str, Any]:
    head_dim = a.query.shape[-1]
    tf32 = a.query.is_cuda and torch.backends.cuda.matmul.allow_tf32
    return {
        "D": head_dim,
        "BLOCK_D": padded(head_dim),
        "GROUPS": 0 if a.groups is None else a.groups.shape[1],
        "CAUSAL": a.causal,
        "PRECISION": "tf32" if tf32 and a.query.dtype == torch.float32 else "ieee",
        **dropout_constants(a.p),
    }


def padded(head_dim: int) -> int:
    """Head dim of a tile: a power of two, at least the 16 that a matrix product needs."""
    return max(16, triton.next_power_of_2(head_dim))


def _tiles(a: Arguments) -> Tiles:
    capability = torch.cuda.get_device_capability(a.query.device) if a.query.is_cuda else None
    head_dim, extra = padded(a.query.shape[-1]), a.stream is not None or a.groups is not None
    return choose(head_dim, a.query.element_size(), a.query.shape[2], capability, extra)


def _device(x: Tensor) -> AbstractContextManager[Any]:
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()
