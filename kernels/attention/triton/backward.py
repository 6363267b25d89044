"""Backward without atomics: `queries` makes dQ, `keys` makes dK and dV; both recompute the weights from LSE.

With p the weights after softmax, dp = dO V^T and delta = rowsum(O dO), the gradient of the scores is p (dp - delta).
`keys` multiplies K Q^T, the transpose, so that no product has to be transposed between two uses.
"""
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
    same_group,
    span,
    store_rows,
    survives,
)


@triton.jit
def _query_gradient(
    dq, line_sum, group_sums, q, do, lse, delta, m, m0, start, stop, bias, radius, K, V, stride_k, stride_v, keys,
    scale, LINE, KEY_MASK, query_segment, KEY_SEGMENTS, GROUP_IDS, GROUP_SCALE, heads, source, first_query,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr, GROUPS: tl.constexpr, BLOCK_G: tl.constexpr,
    CAUSAL: tl.constexpr, NEAR: tl.constexpr, EVEN: tl.constexpr, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
    PRECISION: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    """Add what the keys start..stop-1 give; line_sum, bias: for tiles that are not NEAR; group_sums (M, BLOCK_G)."""
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
        v = load_rows(V, n, keys, stride_v, D, BLOCK_D, EVEN)
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
        weights = tl.math.exp2(scores - lse[:, None])
        dweights = tl.dot(do, tl.trans(v), input_precision=PRECISION)
        if THRESHOLD > 0:
            dweights = tl.where(keep, dweights * SCALE, 0.0)
        dscores = weights * (dweights - delta[:, None])
        if LINE is not None and not NEAR:
            line_sum += tl.sum(dscores, 1)
        for kind in tl.static_range(GROUPS):
            same = same_group(GROUP_IDS, kind, m[:, None], n[None, :], keys)
            of_kind = tl.sum(tl.where(same, dscores, 0.0), 1)
            group_sums += tl.where(tl.arange(0, BLOCK_G)[None, :] == kind, of_kind[:, None], 0.0)
        dq = tl.dot(dscores.to(k.dtype), k, dq, input_precision=PRECISION)
    return dq, line_sum, group_sums


@triton.jit
def queries(
    Q, K, V, OUT, DOUT, LSE, DELTA, DQ, FAR_SUMS, GROUP_SUMS,
    q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row, LINE, KEY_MASK,
    QUERY_SEGMENTS, KEY_SEGMENTS, KEY_RANGE, GROUP_IDS, GROUP_SCALE, STREAM, SAMPLES, first_query, first_head,
    heads, length, keys, scale, radius,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, GROUPS: tl.constexpr,
    BLOCK_G: tl.constexpr, CAUSAL: tl.constexpr, EVEN: tl.constexpr, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
    PRECISION: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    """DQ (B, S, H, D), DELTA (B, H, S), and per block of queries FAR_SUMS (B, H, blocks, 2), GROUP_SUMS (.., BLOCK_G).

    OUT, DOUT (B, S, H, D). FAR_SUMS: of dscores over tiles wholly left and right of the near ones, for the bias line.
    """
    blocks = tl.cdiv(length, BLOCK_M)
    plane = tl.program_id(0) // blocks
    block = tl.program_id(0) % blocks
    m0 = block * BLOCK_M
    batch = (plane // heads).to(tl.int64)
    head = plane % heads
    m = m0 + tl.arange(0, BLOCK_M)
    Q += batch * q_batch + head * q_head
    K += batch * k_batch + head * k_head
    V += batch * v_batch + head * v_head
    own = batch * length * heads * D + head * D
    q = load_rows(Q, m, length, q_row, D, BLOCK_D, False)
    do = load_rows(DOUT + own, m, length, heads * D, D, BLOCK_D, False)
    out = load_rows(OUT + own, m, length, heads * D, D, BLOCK_D, False)
    delta = tl.sum(out.to(tl.float32) * do.to(tl.float32), 1)
    row = plane.to(tl.int64) * length + m
    tl.store(DELTA + row, delta, mask=m < length)
    lse = tl.load(LSE + row, mask=m < length, other=float("inf"))

    start, stop = span(KEY_RANGE, batch, m0, length, keys, BLOCK_M)
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
        query_segment = load_ids(QUERY_SEGMENTS + batch * length, m[:, None], length)
        KEY_SEGMENTS += batch * keys
    if GROUPS > 0:
        GROUP_IDS += batch * GROUPS * keys
        GROUP_SCALE += head
    source = load_source(STREAM, SAMPLES, batch, first_head + head)

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

    dq = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    left_sum = tl.zeros([BLOCK_M], tl.float32)
    right_sum = tl.zeros([BLOCK_M], tl.float32)
    group_sums = tl.zeros([BLOCK_M, BLOCK_G], tl.float32)
    scale_bits = scale * LOG2E
    dq, left_sum, group_sums = _query_gradient(
        dq, left_sum, group_sums, q, do, lse, delta, m, m0, start, near, left, radius, K, V, k_row, v_row, keys,
        scale_bits, LINE, KEY_MASK, query_segment, KEY_SEGMENTS, GROUP_IDS, GROUP_SCALE, heads, source, first_query,
        D, BLOCK_D, BLOCK_N, GROUPS, BLOCK_G, CAUSAL, False, EVEN, THRESHOLD, SCALE, PRECISION, AHEAD,
    )  # fmt: skip
    if CAUSAL or LINE is not None:
        dq, right_sum, group_sums = _query_gradient(
            dq, right_sum, group_sums, q, do, lse, delta, m, m0, near, far, 0.0, radius, K, V, k_row, v_row, keys,
            scale_bits, LINE, KEY_MASK, query_segment, KEY_SEGMENTS, GROUP_IDS, GROUP_SCALE, heads, source, first_query,
            D, BLOCK_D, BLOCK_N, GROUPS, BLOCK_G, CAUSAL, True, EVEN, THRESHOLD, SCALE, PRECISION, AHEAD,
        )  # fmt: skip
    if not CAUSAL and LINE is not None:
        dq, right_sum, group_sums = _query_gradient(
            dq, right_sum, group_sums, q, do, lse, delta, m, m0, far, stop, right, radius, K, V, k_row, v_row, keys,
            scale_bits, LINE, KEY_MASK, query_segment, KEY_SEGMENTS, GROUP_IDS, GROUP_SCALE, heads, source, first_query,
            D, BLOCK_D, BLOCK_N, GROUPS, BLOCK_G, CAUSAL, False, EVEN, THRESHOLD, SCALE, PRECISION, AHEAD,
        )  # fmt: skip

    store_rows(DQ + own, m, length, heads * D, dq * scale, D, BLOCK_D)
    if LINE is not None:
        at = FAR_SUMS + tl.program_id(0).to(tl.int64) * 2
        tl.store(at, tl.sum(left_sum, 0))
        tl.store(at + 1, tl.sum(right_sum, 0))
    if GROUPS > 0:
        kinds = tl.arange(0, BLOCK_G)
        tl.store(GROUP_SUMS + tl.program_id(0).to(tl.int64) * BLOCK_G + kinds, tl.sum(group_sums, 0))


@triton.jit
def _key_gradients(
    dk, dv, k, v, n0, start, stop, bias, radius, Q, DOUT, LSE, DELTA, stride_q, stride_do, length, keys, scale, LINE,
    seen, key_segment, QUERY_SEGMENTS, GROUP_IDS, GROUP_SCALE, heads, source, first_query,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, GROUPS: tl.constexpr,
    CAUSAL: tl.constexpr, NEAR: tl.constexpr, EVEN: tl.constexpr, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
    PRECISION: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    """Add what the queries start..stop-1 give to dk, dv (N, BLOCK_D). bias: for tiles that are not NEAR.

    EVEN speaks of the queries here.
    """
    n = n0 + tl.arange(0, BLOCK_N)
    of_queries = tl.arange(0, BLOCK_M)[None, :]
    of_keys = tl.arange(0, BLOCK_N)[:, None]
    GATHERED: tl.constexpr = NEAR and LINE is not None
    ahead = bias
    if GATHERED and AHEAD:
        ahead = line_bias(LINE, n0 - start, radius, of_queries, of_keys)
    for first in tl.range(start, stop, BLOCK_M):
        m = first + tl.arange(0, BLOCK_M)
        if THRESHOLD > 0:
            keep = tl.trans(survives(source, first_query + m, n0, BLOCK_N, THRESHOLD))
        q = load_rows(Q, m, length, stride_q, D, BLOCK_D, EVEN)
        products = tl.dot(k, tl.trans(q), input_precision=PRECISION)
        added = ahead
        if GATHERED and not AHEAD:
            added = gather(LINE + (n[:, None] - m[None, :]))
        # Keys beyond the last are not stored, and queries beyond the last have lse = inf: neither needs hiding.
        scores = bits(
            products, m[None, :], n[:, None], keys, scale, added, seen, key_segment,
            load_ids(QUERY_SEGMENTS, m[None, :], length), GROUP_IDS, GROUP_SCALE, heads,
            GROUPS, CAUSAL, NEAR, True,
        )  # fmt: skip
        if GATHERED and AHEAD:
            ahead = line_bias(LINE, n0 - first - BLOCK_M, radius, of_queries, of_keys)
        lse = tl.load(LSE + m, mask=m < length, other=float("inf"))
        weights = tl.math.exp2(scores - lse[None, :])
        do = load_rows(DOUT, m, length, stride_do, D, BLOCK_D, EVEN)
        dweights = tl.dot(v, tl.trans(do), input_precision=PRECISION)
        dropped = weights
        if THRESHOLD > 0:
            dropped = tl.where(keep, weights * SCALE, 0.0)
            dweights = tl.where(keep, dweights * SCALE, 0.0)
        dv = tl.dot(dropped.to(do.dtype), do, dv, input_precision=PRECISION)
        delta = tl.load(DELTA + m, mask=m < length, other=0.0)
        dscores = weights * (dweights - delta[None, :])
        dk = tl.dot(dscores.to(q.dtype), q, dk, input_precision=PRECISION)
    return dk, dv


@triton.jit
def keys(
    Q, K, V, DOUT, LSE, DELTA, DK, DV,
    q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row, LINE, KEY_MASK,
    QUERY_SEGMENTS, KEY_SEGMENTS, QUERY_RANGE, GROUP_IDS, GROUP_SCALE, STREAM, SAMPLES, first_query, first_head,
    heads, queries, length, scale, radius,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, GROUPS: tl.constexpr,
    CAUSAL: tl.constexpr, EVEN: tl.constexpr, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
    PRECISION: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    """DK, DV (B, T, H, D): one program for a block of keys of one head, over the queries that see them."""
    blocks = tl.cdiv(length, BLOCK_N)
    plane = tl.program_id(0) // blocks
    n0 = tl.program_id(0) % blocks * BLOCK_N
    batch = (plane // heads).to(tl.int64)
    head = plane % heads
    n = n0 + tl.arange(0, BLOCK_N)
    Q += batch * q_batch + head * q_head
    K += batch * k_batch + head * k_head
    V += batch * v_batch + head * v_head
    DOUT += batch * queries * heads * D + head * D
    LSE += plane.to(tl.int64) * queries
    DELTA += plane.to(tl.int64) * queries
    k = load_rows(K, n, length, k_row, D, BLOCK_D, False)
    v = load_rows(V, n, length, v_row, D, BLOCK_D, False)

    start, stop = span(QUERY_RANGE, batch, n0, length, queries, BLOCK_N)
    left = 0.0
    right = 0.0
    if LINE is not None:
        LINE += head * (2 * (radius + MARGIN) + 1) + radius + MARGIN
        left = tl.load(LINE - radius)
        right = tl.load(LINE + radius)
    seen = None
    if KEY_MASK is not None:
        seen = load_ids(KEY_MASK + batch * length, n[:, None], length)
    key_segment = None
    if QUERY_SEGMENTS is not None:
        key_segment = load_ids(KEY_SEGMENTS + batch * length, n[:, None], length)
        QUERY_SEGMENTS += batch * queries
    if GROUPS > 0:
        GROUP_IDS += batch * GROUPS * length
        GROUP_SCALE += head
    source = load_source(STREAM, SAMPLES, batch, first_head + head)

    # Queries up to `near` see these keys far to their right, those from `far` on see them far to their left.
    if CAUSAL:
        start = tl.maximum(start, n0)
    start = start // BLOCK_M * BLOCK_M
    stop = tl.cdiv(stop, BLOCK_M) * BLOCK_M
    near = start
    far = stop
    if CAUSAL or LINE is not None:
        far = tl.cdiv(n0 + BLOCK_N - 1 + radius, BLOCK_M) * BLOCK_M
        far = tl.minimum(tl.maximum(far, start), tl.maximum(stop, start))
    if not CAUSAL and LINE is not None:
        near = tl.minimum(tl.maximum(tl.maximum(n0 - radius + 1, 0) // BLOCK_M * BLOCK_M, start), far)

    dk = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
    dv = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
    scale_bits = scale * LOG2E
    if not CAUSAL and LINE is not None:
        dk, dv = _key_gradients(
            dk, dv, k, v, n0, start, near, right, radius, Q, DOUT, LSE, DELTA, q_row, heads * D, queries, length,
            scale_bits, LINE, seen, key_segment, QUERY_SEGMENTS, GROUP_IDS, GROUP_SCALE, heads, source, first_query,
            D, BLOCK_D, BLOCK_M, BLOCK_N, GROUPS, CAUSAL, False, EVEN, THRESHOLD, SCALE, PRECISION, AHEAD,
        )  # fmt: skip
    if CAUSAL or LINE is not None:
        dk, dv = _key_gradients(
            dk, dv, k, v, n0, near, far, 0.0, radius, Q, DOUT, LSE, DELTA, q_row, heads * D, queries, length,
            scale_bits, LINE, seen, key_segment, QUERY_SEGMENTS, GROUP_IDS, GROUP_SCALE, heads, source, first_query,
            D, BLOCK_D, BLOCK_M, BLOCK_N, GROUPS, CAUSAL, True, EVEN, THRESHOLD, SCALE, PRECISION, AHEAD,
        )  # fmt: skip
    else:
        far = start
    dk, dv = _key_gradients(
        dk, dv, k, v, n0, far, stop, left, radius, Q, DOUT, LSE, DELTA, q_row, heads * D, queries, length,
        scale_bits, LINE, seen, key_segment, QUERY_SEGMENTS, GROUP_IDS, GROUP_SCALE, heads, source, first_query,
        D, BLOCK_D, BLOCK_M, BLOCK_N, GROUPS, CAUSAL, False, EVEN, THRESHOLD, SCALE, PRECISION, AHEAD,
    )  # fmt: skip
    own = batch * length * heads * D + head * D
    store_rows(DK + own, n, length, heads * D, dk * scale, D, BLOCK_D)
    store_rows(DV + own, n, length, heads * D, dv, D, BLOCK_D)
