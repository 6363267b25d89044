"""RMSNorm and LayerNorm in Triton, with the residual add and dropout that precede them in one pass.

Letters: N rows (tokens), D width, P programs of the backward pass. Statistics and sums are fp32 (fp64 for fp64 input).
Forward reads the input once and writes the result once; backward reads input and gradient once, writes the input's
gradient, and leaves one partial sum of the weight's gradient per program: (P, D), added in a fixed order, no atomics.
Dropout draws by address (../dropout/draws.py), so that backward draws the same numbers again. Rows are counted in 32
bits, where divisions take no call; their addresses have 64.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..dispatch.registration import register
from ..dropout.triton import constants, kept, load_stream

PROGRAMS = 512
"""Most partial sums of a weight gradient. Fixed, so that the result does not depend on the GPU's size."""


@triton.jit
def _survives(STREAM, SAMPLES, row, rows, length, first_row, BLOCK: tl.constexpr, THRESHOLD: tl.constexpr):
    """(ROWS, BLOCK) bool for the rows `row`, `length` of them a sample."""
    sample = tl.load(SAMPLES + row // length, mask=row < rows, other=0)[:, None]
    position = (first_row + row % length)[:, None]
    quad = tl.arange(0, BLOCK // 4)[None, :]
    return kept(load_stream(STREAM), sample, 0, position, quad, THRESHOLD)


@triton.jit
def norm_forward(
    X, U, W, B, S, Y, MEAN, RSTD, STREAM, SAMPLES, rows, D, length, first_row, eps,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, ACC: tl.constexpr, CENTRED: tl.constexpr, ADD: tl.constexpr,
    THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
):  # fmt: skip
    """s = x + dropout(u) (with ADD), y = norm(s) * w + b. One program: ROWS rows."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    inside = (row < rows)[:, None] & (column < D)[None, :]
    at = row.to(tl.int64)[:, None] * D + column[None, :]
    x = tl.load(X + at, mask=inside, other=0.0).to(ACC)
    if ADD:
        u = tl.load(U + at, mask=inside, other=0.0).to(ACC)
        if THRESHOLD > 0:
            survives = _survives(STREAM, SAMPLES, row, rows, length, first_row, BLOCK, THRESHOLD)
            u = tl.where(survives, u * SCALE, 0.0)
        rounded = (x + u).to(S.dtype.element_ty)  # backward reads this; forward must see the same
        tl.store(S + at, rounded, mask=inside)
        x = rounded.to(ACC)
    if CENTRED:
        mean = tl.sum(x, 1) / D
        tl.store(MEAN + row, mean, mask=row < rows)
        x = tl.where(inside, x - mean[:, None], 0.0)
    rstd = 1.0 / tl.sqrt(tl.sum(x * x, 1) / D + eps)
    tl.store(RSTD + row, rstd, mask=row < rows)
    w = tl.load(W + column, mask=column < D, other=0.0).to(ACC)
    y = x * rstd[:, None] * w[None, :]
    if CENTRED:
        y += tl.load(B + column, mask=column < D, other=0.0).to(ACC)[None, :]
    tl.store(Y + at, y.to(Y.dtype.element_ty), mask=inside)


@triton.jit
def norm_backward(
    GY, GS, S, W, MEAN, RSTD, STREAM, SAMPLES, DX, DU, DW, DB, rows, D, tiles, length, first_row,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, ACC: tl.constexpr, CENTRED: tl.constexpr, ADD: tl.constexpr,
    THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
):  # fmt: skip
    """dx = rstd (g w - [mean(g w)] - n mean(g w n)) (+ gs with ADD), n the normed input.

    One program: `tiles` x ROWS rows. Sums of g n (and g) over them go to row program_id of DW (and DB).
    """
    program = tl.program_id(0)
    column = tl.arange(0, BLOCK)
    w = tl.load(W + column, mask=column < D, other=0.0).to(ACC)[None, :]
    dw = tl.zeros((ROWS, BLOCK), dtype=ACC)
    db = tl.zeros((ROWS, BLOCK), dtype=ACC)
    for tile in range(tiles):
        row = (program * tiles + tile) * ROWS + tl.arange(0, ROWS)
        inside = (row < rows)[:, None] & (column < D)[None, :]
        at = row.to(tl.int64)[:, None] * D + column[None, :]
        g = tl.load(GY + at, mask=inside, other=0.0).to(ACC)
        x = tl.load(S + at, mask=inside, other=0.0).to(ACC)
        rstd = tl.load(RSTD + row, mask=row < rows, other=0.0).to(ACC)[:, None]
        if CENTRED:
            x = tl.where(inside, x - tl.load(MEAN + row, mask=row < rows, other=0.0).to(ACC)[:, None], 0.0)
            db += g
        n = x * rstd
        dw += g * n
        g = g * w
        dx = g - n * (tl.sum(g * n, 1) / D)[:, None]
        if CENTRED:
            dx -= (tl.sum(g, 1) / D)[:, None]
        dx = dx * rstd
        if ADD:
            dx += tl.load(GS + at, mask=inside, other=0.0).to(ACC)
        tl.store(DX + at, dx.to(DX.dtype.element_ty), mask=inside)
        if THRESHOLD > 0:
            survives = _survives(STREAM, SAMPLES, row, rows, length, first_row, BLOCK, THRESHOLD)
            du = tl.where(survives, dx * SCALE, 0.0)
            tl.store(DU + at, du.to(DU.dtype.element_ty), mask=inside)
    DW += program.to(tl.int64) * D
    tl.store(DW + column, tl.sum(dw, 0), mask=column < D)
    if CENTRED:
        DB += program.to(tl.int64) * D
        tl.store(DB + column, tl.sum(db, 0), mask=column < D)


def tile(width: int) -> dict[str, int]:
    """ROWS, BLOCK and num_warps for rows of `width`: 8 KiB to 64 KiB of fp32 per program."""
    block = max(4, triton.next_power_of_2(width))  # dropout draws for four
    return {"ROWS": max(1, 2048 // block), "BLOCK": block, "num_warps": min(16, max(4, block // 512))}


def _wide(dtype: torch.dtype) -> tuple[torch.dtype, Any]:
    return (torch.float64, tl.float64) if dtype == torch.float64 else (torch.float32, tl.float32)


def _total(parts: Tensor, like: Tensor) -> Tensor:
    """(P, D) -> (D,): summed in the dtype of the parts."""
    return parts.sum(0).to(like.dtype)


def _length(rows: int, samples: Tensor | None) -> int:
    return rows if samples is None else rows // len(samples)


def _contiguous(**tensors: Tensor | None) -> None:
    for name, tensor in tensors.items():
        if tensor is not None and not tensor.is_contiguous():
            raise ValueError(f"{name} {tuple(tensor.shape)} has strides {tensor.stride()}: not contiguous")


def norm(
    x: Tensor,
    update: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    eps: float,
    p: float,
    stream: Tensor | None,
    samples: Tensor | None,
    first_row: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(sum, normed, mean, rstd). x, update (N, D); without update sum is empty, without bias (RMSNorm) mean is.

    p, stream, samples (B,), first_row: as in Draws, N / B rows a sample; p 0: nothing is dropped.
    """
    _contiguous(x=x, update=update, weight=weight, bias=bias)
    rows, width = x.shape
    wide, acc = _wide(x.dtype)
    total = x.new_empty((0,)) if update is None else torch.empty_like(x)
    normed = torch.empty_like(x, dtype=weight.dtype)
    rstd = x.new_empty((rows,), dtype=wide)
    mean = x.new_empty((0,) if bias is None else (rows,), dtype=wide)
    sizes = tile(width)
    norm_forward[(triton.cdiv(rows, sizes["ROWS"]),)](
        x, update, weight, bias, total, normed, mean, rstd, stream, samples, rows, width, _length(rows, samples),
        first_row, eps, ACC=acc, CENTRED=bias is not None, ADD=update is not None, **constants(p), **sizes,
    )  # fmt: skip
    return total, normed, mean, rstd


def _norm_fake(
    x: Tensor,
    update: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    eps: float,
    p: float,
    stream: Tensor | None,
    samples: Tensor | None,
    first_row: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    wide = _wide(x.dtype)[0]
    total = x.new_empty((0,)) if update is None else torch.empty_like(x)
    mean = x.new_empty((0,) if bias is None else (x.shape[0],), dtype=wide)
    return total, torch.empty_like(x, dtype=weight.dtype), mean, x.new_empty((x.shape[0],), dtype=wide)


def gradient(
    grad: Tensor,
    grad_sum: Tensor | None,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    rstd: Tensor,
    p: float,
    stream: Tensor | None,
    samples: Tensor | None,
    first_row: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(dx, dupdate, dweight, dbias); dupdate is empty without dropout (it is dx), dbias without a mean (RMSNorm)."""
    _contiguous(grad=grad, grad_sum=grad_sum, x=x, weight=weight)
    rows, width = x.shape
    wide, acc = _wide(x.dtype)
    centred = mean.numel() > 0
    dx = torch.empty_like(x)
    dupdate = torch.empty_like(x) if p > 0 else x.new_empty((0,))
    sizes = tile(width)
    tiles = triton.cdiv(triton.cdiv(rows, sizes["ROWS"]), PROGRAMS)
    programs = triton.cdiv(rows, sizes["ROWS"] * tiles)
    dweight = x.new_empty((programs, width), dtype=wide)
    dbias = x.new_empty((programs if centred else 0, width), dtype=wide)
    norm_backward[(programs,)](
        grad, grad_sum, x, weight, mean, rstd, stream, samples, dx, dupdate, dweight, dbias, rows, width, tiles,
        _length(rows, samples), first_row, ACC=acc, CENTRED=centred, ADD=grad_sum is not None, **constants(p), **sizes,
    )  # fmt: skip
    if centred:
        return dx, dupdate, _total(dweight, weight), _total(dbias, weight)
    return dx, dupdate, _total(dweight, weight), weight.new_empty((0,))


def _gradient_fake(
    grad: Tensor,
    grad_sum: Tensor | None,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    rstd: Tensor,
    p: float,
    stream: Tensor | None,
    samples: Tensor | None,
    first_row: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dupdate = torch.empty_like(x) if p > 0 else x.new_empty((0,))
    dbias = torch.empty_like(weight) if mean.numel() > 0 else weight.new_empty((0,))
    return torch.empty_like(x), dupdate, torch.empty_like(weight), dbias


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, update, weight, bias, _, ctx.p, stream, samples, ctx.first_row = inputs
    total, _, mean, rstd = output
    ctx.added, ctx.centred = update is not None, bias is not None
    ctx.save_for_backward(total if ctx.added else x, weight, mean, rstd, stream, samples)
    ctx.mark_non_differentiable(mean, rstd)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad_sum: Tensor | None, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    x, weight, mean, rstd, *draws = ctx.saved_tensors
    grad = torch.zeros_like(x, dtype=weight.dtype) if grad is None else grad.contiguous()
    grad_sum = grad_sum.contiguous() if ctx.added and grad_sum is not None else None
    dx, dupdate, dweight, dbias = torch.ops.taixue.norm_backward(
        grad, grad_sum, x, weight, mean, rstd, ctx.p, *draws, ctx.first_row
    )
    dupdate = (dupdate if ctx.p > 0 else dx) if ctx.added else None
    nothing = (None,) * 4
    return dx, dupdate, dweight, dbias if ctx.centred else None, None, *nothing


register("norm", norm, _norm_fake, _save, _backward)
register("norm_backward", gradient, _gradient_fake)
