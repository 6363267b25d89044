"""Forward: one program for a block of queries of one head, online softmax over its keys (Dao 2023)."""
# mypy: allow-untyped-defs, allow-incomplete-defs

import triton
import triton.language as tl

from .tile import (
    LOG2E,
    MARGIN,
    bits,
    gather,
    line_bias,
    load_ids,
    load_rows,
    load_source,
    span,
    store_rows,
    survives,
)


@triton.jit
def _keys(
    sums, total, top, q, m, m0, start, stop, bias, radius, K, V, stride_k, stride_v, keys, scale, LINE, KEY_MASK,
    query_segment, KEY_SEGMENTS, GROUP_IDS, GROUP_SCALE, heads, source, first_query,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr, GROUPS: tl.constexpr, CAUSAL: tl.constexpr,
    NEAR: tl.constexpr, EVEN: tl.constexpr, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
    PRECISION: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    """Take the keys start..stop-1 into (sums, total, top). bias: of all of them, unless NEAR."""
    of_queries = m[:, None] - m0
    of_keys = tl.arange(0, BLOCK_N)[None, :]
    GATHERED: tl.constexpr = NEAR and LINE is not None
    ahead = bias
    if GATHERED and AHEAD:
        ahead = line_bias(LINE, start - m0, radius, of_queries, of_keys)
    for first in tl.range(start, stop, BLOCK_N):
        n = first + tl.arange(0, BLOCK_N)
        if THRESHOLD > 0:
            keep = survives(source, first_query + m, first, BLOCK_N, THRESHOLD)
        k = load_rows(K, n, keys, stride_k, D, BLOCK_D, EVEN)
        products = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        added = ahead
        if GATHERED and not AHEAD:
            added = gather(LINE + (n[None, :] - m[:, None]))
        scores = bits(
            products, m[:, None], n[None, :], keys, scale, added, load_ids(KEY_MASK, n[None, :], keys),
            query_segment, load_ids(KEY_SEGMENTS, n[None, :], keys), GROUP_IDS, GROUP_SCALE, heads,
            GROUPS, CAUSAL, NEAR, EVEN,
        )  # fmt: skip
        if GATHERED and AHEAD:
            ahead = line_bias(LINE, first + BLOCK_N - m0, radius, of_queries, of_keys)
        new_top = tl.maximum(top, tl.max(scores, 1))
        safe = tl.where(new_top == float("-inf"), 0.0, new_top)  # no key seen so far
        weights = tl.math.exp2(scores - safe[:, None])
        shrink = tl.math.exp2(top - safe)
        total = total * shrink + tl.sum(weights, 1)
        if THRESHOLD > 0:
            weights = tl.where(keep, weights, 0.0)
        v = load_rows(V, n, keys, stride_v, D, BLOCK_D, EVEN)
        sums = tl.dot(weights.to(v.dtype), v, sums * shrink[:, None], input_precision=PRECISION)
        top = new_top
    return sums, total, top


@triton.jit
def forward(
    Q, K, V, OUT, LSE, q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row, LINE, KEY_MASK,
    QUERY_SEGMENTS, KEY_SEGMENTS, KEY_RANGE, GROUP_IDS, GROUP_SCALE, STREAM, SAMPLES, first_query, first_head,
    heads, queries, keys, scale, radius,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, GROUPS: tl.constexpr,
    CAUSAL: tl.constexpr, EVEN: tl.constexpr, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
    PRECISION: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    """OUT (B, S, H, D) and LSE (B, H, S): log2 of the sum of exp2(scores), inf for a query that sees no key.

    Q, K, V with strides of batch, head, row. The other inputs are those of operator.py; None where there is none.
    """
    blocks = tl.cdiv(queries, BLOCK_M)
    plane = tl.program_id(0) // blocks
    m0 = tl.program_id(0) % blocks * BLOCK_M
    batch = (plane // heads).to(tl.int64)
    head = plane % heads
    m = m0 + tl.arange(0, BLOCK_M)
    Q += batch * q_batch + head * q_head
    K += batch * k_batch + head * k_head
    V += batch * v_batch + head * v_head
    OUT += batch * queries * heads * D + head * D
    q = load_rows(Q, m, queries, q_row, D, BLOCK_D, False)

    start, stop = span(KEY_RANGE, batch, m0, queries, keys, BLOCK_M)
    left = 0.0
    right = 0.0
    if LINE is not None:
        LINE += head * (2 * (radius + MARGIN) + 1) + radius + MARGIN
        left = tl.load(LINE - radius)
        right = tl.load(LINE + radius)
    if KEY_MASK is not None:
        KEY_MASK += batch * keys
    query_segment = None
    if QUERY_SEGMENTS is not None:
        query_segment = load_ids(QUERY_SEGMENTS + batch * queries, m[:, None], queries)
        KEY_SEGMENTS += batch * keys
    if GROUPS > 0:
        GROUP_IDS += batch * GROUPS * keys
        GROUP_SCALE += head
    source = load_source(STREAM, SAMPLES, batch, first_head + head)

    # Tiles left of `near` and from `far` on have one bias each; those between gather it by distance.
    if CAUSAL:
        stop = tl.minimum(stop, m0 + BLOCK_M)
    start = start // BLOCK_N * BLOCK_N
    stop = tl.cdiv(stop, BLOCK_N) * BLOCK_N
    near = stop
    far = stop
    if CAUSAL or LINE is not None:
        near = tl.minimum(tl.maximum(tl.maximum(m0 - radius + 1, 0) // BLOCK_N * BLOCK_N, start), stop)
    if not CAUSAL and LINE is not None:
        far = tl.minimum(tl.maximum(tl.cdiv(m0 + BLOCK_M - 1 + radius, BLOCK_N) * BLOCK_N, near), stop)

    sums = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    top = tl.full([BLOCK_M], float("-inf"), tl.float32)
    sums, total, top = _keys(
        sums, total, top, q, m, m0, start, near, left, radius, K, V, k_row, v_row, keys,
        scale * LOG2E, LINE, KEY_MASK, query_segment, KEY_SEGMENTS, GROUP_IDS, GROUP_SCALE, heads, source, first_query,
        D, BLOCK_D, BLOCK_N, GROUPS, CAUSAL, False, EVEN, THRESHOLD, SCALE, PRECISION, AHEAD,
    )  # fmt: skip
    if CAUSAL or LINE is not None:
        sums, total, top = _keys(
            sums, total, top, q, m, m0, near, far, 0.0, radius, K, V, k_row, v_row, keys,
            scale * LOG2E, LINE, KEY_MASK, query_segment, KEY_SEGMENTS, GROUP_IDS, GROUP_SCALE,
            heads, source, first_query,
            D, BLOCK_D, BLOCK_N, GROUPS, CAUSAL, True, EVEN, THRESHOLD, SCALE, PRECISION, AHEAD,
        )  # fmt: skip
    if not CAUSAL and LINE is not None:
        sums, total, top = _keys(
            sums, total, top, q, m, m0, far, stop, right, radius, K, V, k_row, v_row, keys,
            scale * LOG2E, LINE, KEY_MASK, query_segment, KEY_SEGMENTS, GROUP_IDS, GROUP_SCALE,
            heads, source, first_query,
            D, BLOCK_D, BLOCK_N, GROUPS, CAUSAL, False, EVEN, THRESHOLD, SCALE, PRECISION, AHEAD,
        )  # fmt: skip

    blind = total == 0.0
    safe = tl.where(blind, 1.0, total)
    share = 1.0 / safe
    if THRESHOLD > 0:
        share = share * SCALE
    store_rows(OUT, m, queries, heads * D, sums * share[:, None], D, BLOCK_D)
    tl.store(
        LSE + plane.to(tl.int64) * queries + m,
        tl.where(blind, float("inf"), top + tl.math.log2(safe)),
        mask=m < queries,
    )
