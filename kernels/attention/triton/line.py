"""The gradient of the bias line, deterministic and without atomics.

`tiles` keeps a diagonal: a program owns one head and one distance between the starts of a block of queries and a block
of keys, walks over all such pairs, recomputes the gradient of their scores and adds it up in registers, element by
element, because equal elements have equal distances. `diagonals` sums what lies on one diagonal. Tiles that hold one
bias are not walked: the kernel for dQ meets them anyway and sums them (FAR_SUMS).
"""
# mypy: allow-untyped-defs, allow-incomplete-defs

import triton
import triton.language as tl

from .tile import LN2, LOG2E, MARGIN, bits, gather, load_ids, load_rows, load_source, span, survives


@triton.jit
def tiles(
    Q, K, V, DOUT, LSE, DELTA, TILES, q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row,
    LINE, KEY_MASK, QUERY_SEGMENTS, KEY_SEGMENTS, KEY_RANGE, GROUP_IDS, GROUP_SCALE, STREAM, SAMPLES,
    first_query, first_head, batches, heads, queries, keys, scale, radius, reach, splits,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK: tl.constexpr, GROUPS: tl.constexpr, CAUSAL: tl.constexpr,
    THRESHOLD: tl.constexpr, SCALE: tl.constexpr, PRECISION: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """TILES (splits, H, offsets, BLOCK, BLOCK) sums of dscores; grid (offsets, H, splits), first offset -reach."""
    offset = (tl.program_id(0) - reach) * BLOCK
    head = tl.program_id(1)
    rows = tl.arange(0, BLOCK)
    LINE += head * (2 * (radius + MARGIN) + 1) + radius + MARGIN
    sums = tl.zeros([BLOCK, BLOCK], tl.float32)
    # Blocks of queries whose block of keys exists.
    low = tl.maximum(-offset, 0) // BLOCK
    blocks = tl.cdiv(tl.minimum(queries, keys - offset), BLOCK) - low
    for index in tl.range(tl.program_id(2), batches * blocks, splits, num_stages=STAGES):
        sample = index // blocks
        batch = sample.to(tl.int64)
        m0 = (low + index % blocks) * BLOCK
        n0 = m0 + offset
        start, stop = span(KEY_RANGE, batch, m0, queries, keys, BLOCK)
        meet = (n0 + BLOCK > start) & (n0 < stop)
        # Loads outside of any branch, so that they are pipelined; those of tiles that do not meet read nothing.
        last_query = tl.where(meet, queries, 0)
        last_key = tl.where(meet, keys, 0)
        m = m0 + rows
        n = n0 + rows
        plane = sample * heads + head
        own = batch * queries * heads * D + head * D
        row = plane.to(tl.int64) * queries + m
        q = load_rows(Q + batch * q_batch + head * q_head, m, last_query, q_row, D, BLOCK_D, False)
        k = load_rows(K + batch * k_batch + head * k_head, n, last_key, k_row, D, BLOCK_D, False)
        v = load_rows(V + batch * v_batch + head * v_head, n, last_key, v_row, D, BLOCK_D, False)
        do = load_rows(DOUT + own, m, last_query, heads * D, D, BLOCK_D, False)
        lse = tl.load(LSE + row, mask=m < last_query, other=float("inf"))
        delta = tl.load(DELTA + row, mask=m < last_query, other=0.0)
        seen = None
        if KEY_MASK is not None:
            seen = load_ids(KEY_MASK + batch * keys, n[None, :], keys)
        query_segment = None
        key_segment = None
        if QUERY_SEGMENTS is not None:
            query_segment = load_ids(QUERY_SEGMENTS + batch * queries, m[:, None], queries)
            key_segment = load_ids(KEY_SEGMENTS + batch * keys, n[None, :], keys)
        groups = None
        group_scale = None
        if GROUPS > 0:
            groups = GROUP_IDS + batch * GROUPS * keys
            group_scale = GROUP_SCALE + head
        products = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        bias = gather(LINE + (n[None, :] - m[:, None]))
        scores = bits(
            products, m[:, None], n[None, :], keys, scale * LOG2E, bias, seen, query_segment, key_segment,
            groups, group_scale, heads, GROUPS, CAUSAL, True, False,
        )  # fmt: skip
        weights = tl.math.exp2(scores - lse[:, None])
        dweights = tl.dot(do, tl.trans(v), input_precision=PRECISION)
        if THRESHOLD > 0:
            source = load_source(STREAM, SAMPLES, batch, first_head + head)
            keep = survives(source, first_query + m, n0, BLOCK, THRESHOLD)
            dweights = tl.where(keep, dweights * SCALE, 0.0)
        sums += weights * (dweights - delta[:, None])
    place = (tl.program_id(2) * heads + head) * tl.num_programs(0) + tl.program_id(0)
    at = TILES + place.to(tl.int64) * BLOCK * BLOCK
    tl.store(at + rows[:, None] * BLOCK + rows[None, :], sums)


@triton.jit
def diagonals(
    TILES, FAR_SUMS, DLINE, batches, heads, blocks, radius, reach, offsets, splits,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """DLINE (H, 2 (radius + MARGIN) + 1) from TILES and FAR_SUMS (B, H, blocks, 2); grid (H, blocks of WIDTH)."""
    head = tl.program_id(0)
    end = radius + MARGIN
    distance = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH) - end
    rows = tl.arange(0, BLOCK)
    total = tl.zeros([WIDTH], tl.float32)
    for offset in tl.range(0, offsets):
        # On row r of a tile, this distance is in column distance - (start of keys - start of queries) + r.
        column = distance[:, None] - (offset - reach) * BLOCK + rows[None, :]
        inside = (column >= 0) & (column < BLOCK)
        for split in tl.range(0, splits):
            place = (split * heads + head) * offsets + offset
            at = TILES + place.to(tl.int64) * BLOCK * BLOCK + rows[None, :] * BLOCK + column
            total += tl.sum(tl.load(at, mask=inside, other=0.0), 1)
    left = tl.zeros([WIDTH], tl.float32)
    right = tl.zeros([WIDTH], tl.float32)
    for first in tl.range(0, batches * blocks, WIDTH):
        index = first + tl.arange(0, WIDTH)
        at = FAR_SUMS + ((index // blocks * heads + head) * blocks + index % blocks).to(tl.int64) * 2
        left += tl.load(at, mask=index < batches * blocks, other=0.0)
        right += tl.load(at + 1, mask=index < batches * blocks, other=0.0)
    total += tl.where(distance == -end, tl.sum(left, 0), 0.0) + tl.where(
        distance == end, tl.sum(right, 0), 0.0
    )
    tl.store(DLINE + head * (2 * end + 1) + distance + end, total * LN2, mask=distance <= end)
