"""What every attention kernel does with one tile of scores: load rows, add the bias, hide, drop.

Scores are in bits: exp2(score) is the weight before normalisation, so a natural score is multiplied by log2 e.
Index tensors `m` (queries) and `n` (keys) have two dimensions, (M, 1) and (1, N) or (1, M) and (N, 1): the same code
serves a tile and its transpose.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs

import triton
import triton.language as tl
from triton.runtime.interpreter import InterpretedFunction

from ...dropout.triton import kept, load_stream
from . import shapes

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)
GRANULE = tl.constexpr(shapes.GRANULE)
MARGIN = tl.constexpr(shapes.MARGIN)
COMPILED = tl.constexpr(not isinstance(tl.sum, InterpretedFunction))


@triton.jit
def load_rows(base, index, length, stride, D: tl.constexpr, BLOCK_D: tl.constexpr, EVEN: tl.constexpr):
    """Rows `index` (M,) of a (length, D) matrix as (M, BLOCK_D), zeros outside; EVEN: all of them are inside."""
    d = tl.arange(0, BLOCK_D)[None, :]
    at = base + index[:, None] * stride + d
    if EVEN and D == BLOCK_D:
        tile = tl.load(at)
    else:
        tile = tl.load(at, mask=(index[:, None] < length) & (d < D), other=0.0)
    return tile


@triton.jit
def store_rows(base, index, length, stride, tile, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """The counterpart of load_rows."""
    d = tl.arange(0, BLOCK_D)[None, :]
    at = base + index[:, None] * stride + d
    tl.store(at, tile.to(base.dtype.element_ty), mask=(index[:, None] < length) & (d < D))


@triton.jit
def load_ids(base, index, length):
    """base[index], 0 outside; None for None."""
    ids = None
    if base is not None:
        ids = tl.load(base + index, mask=index < length, other=0)
    return ids


@triton.jit
def span(table, batch, first, length, other_length, BLOCK: tl.constexpr):
    """(start, stop) of the positions on the other side that positions first..first+BLOCK-1 may meet."""
    start = 0
    stop = other_length
    if table is not None:
        granules = tl.cdiv(length, GRANULE)
        COUNT: tl.constexpr = 1 if BLOCK < GRANULE else BLOCK // GRANULE
        index = first // GRANULE + tl.arange(0, COUNT)
        at = table + (batch * granules + index) * 2
        start = tl.min(tl.load(at, mask=index < granules, other=other_length), 0)
        stop = tl.max(tl.load(at + 1, mask=index < granules, other=0), 0)
    return start, stop


@triton.jit
def gather(at):
    """tl.load of fp32, hidden from the compiler's pipeliner, which would stage every element in shared memory."""
    if COMPILED:
        value = tl.inline_asm_elementwise(
            "ld.global.nc.f32 $0, [$1];", "=f,l", [at], dtype=tl.float32, is_pure=True, pack=1
        )
    else:
        value = tl.load(at)
    return value


@triton.jit
def line_bias(line, distance, radius, m, n):
    """The bias of a tile whose first key is at `distance` from its first query; m, n: places within the tile.

    For loops that gather a turn AHEAD of the use, so that nothing waits. The distance is limited, so that they may
    ask for the tile after the last; no tile with several biases begins beyond. line: pointer to the bias of distance 0.
    """
    limit = radius + MARGIN // 2
    return gather(line + (tl.minimum(tl.maximum(distance, -limit), limit) + n - m))


@triton.jit
def same_group(groups, kind, m, n, length):
    """Whether m and n are in one group of this kind; groups (G, length) of one sample."""
    of_m = tl.load(groups + kind * length + m, mask=m < length, other=0)
    of_n = tl.load(groups + kind * length + n, mask=n < length, other=0)
    return (of_m == of_n) & (of_m != 0)


@triton.jit
def bits(
    products,
    m,
    n,
    keys,
    scale,
    bias,
    seen,
    query_segment,
    key_segment,
    groups,
    group_scale,
    heads,
    GROUPS: tl.constexpr,
    CAUSAL: tl.constexpr,
    NEAR: tl.constexpr,
    EVEN: tl.constexpr,
):
    """Scores of a tile of products q k^T, -inf where a key is hidden.

    bias: of the tile, of each element or one number. NEAR: else nothing is hidden by CAUSAL. EVEN: no key index
    reaches beyond the number of `keys`.
    """
    scores = products * scale + bias
    for kind in tl.static_range(GROUPS):
        weight = tl.load(group_scale + kind * heads).to(tl.float32) * LOG2E
        scores += tl.where(same_group(groups, kind, m, n, keys), weight, 0.0)
    if not EVEN:
        scores = tl.where(n < keys, scores, float("-inf"))
    if seen is not None:
        scores = tl.where(seen != 0, scores, float("-inf"))
    if query_segment is not None:
        scores = tl.where(query_segment == key_segment, scores, float("-inf"))
    if CAUSAL and NEAR:
        scores = tl.where(n <= m, scores, float("-inf"))
    return scores


@triton.jit
def load_source(STREAM, SAMPLES, batch, head):
    """Where the draws of one sample and head come from: (seed, step, site), sample, head; None for no dropout."""
    source = None
    if STREAM is not None:
        source = (load_stream(STREAM), tl.load(SAMPLES + batch), head)
    return source


@triton.jit
def survives(source, m, first_key, KEYS: tl.constexpr, THRESHOLD: tl.constexpr):
    """(M, KEYS) bool: which weights of a tile survive; queries m (M,), keys from first_key, a multiple of 4, on.

    Best asked for before the products of the tile, when fewer registers are taken.
    """
    stream, sample, head = source
    quad = first_key // 4 + tl.arange(0, KEYS // 4)
    return kept(stream, sample, head, m[:, None], quad[None, :], THRESHOLD)
