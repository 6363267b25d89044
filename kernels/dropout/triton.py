"""Dropout in Triton: masks are never stored, backward draws the same numbers again.

`load_stream` and `kept` are for kernels of other packages too; both speak of the addresses in draws.py.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..dispatch.registration import register
from .draws import threshold

ROWS, BLOCK = 8, 256


@triton.jit
def load_stream(STREAM):
    """(seed, step, site) as 32-bit words."""
    seed = tl.load(STREAM).to(tl.uint32)
    step = tl.load(STREAM + 1).to(tl.uint32)
    site = tl.load(STREAM + 2).to(tl.uint32)
    return seed, step, site


@triton.jit
def kept(stream, sample, head, row, quad, THRESHOLD: tl.constexpr):
    """(R, 4 Q) bool: whether columns 4 quad .. 4 quad + 3 survive; sample, head, row (R, 1) and quad (1, Q) broadcast.

    One call of Philox serves four elements.
    """
    seed, step, site = stream
    c0 = (head * 4194304 + quad).to(tl.uint32)
    a, b, c, d = tl.philox_impl(c0, row.to(tl.uint32), sample.to(tl.uint32), site, seed, step)
    quads = tl.join(tl.join(a >= THRESHOLD, c >= THRESHOLD), tl.join(b >= THRESHOLD, d >= THRESHOLD))
    return tl.reshape(quads, (quads.shape[0], 4 * quads.shape[1]))


@triton.jit
def drop(
    X, Y, STREAM, SAMPLES, rows, length, columns, first_row, first_quad, lead,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, ACC: tl.constexpr, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
):  # fmt: skip
    """y = x SCALE where it survives, else 0; x and y (rows, columns), `length` rows a sample.

    Grid (blocks of ROWS, blocks of BLOCK); blocks of columns start at a whole quad, `lead` columns before the first.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK) - lead
    quad = first_quad + tl.program_id(1) * (BLOCK // 4) + tl.arange(0, BLOCK // 4)
    inside = (row < rows)[:, None] & ((column >= 0) & (column < columns))[None, :]
    at = row.to(tl.int64)[:, None] * columns + column[None, :]
    x = tl.load(X + at, mask=inside, other=0.0).to(ACC)
    sample = tl.load(SAMPLES + row // length, mask=row < rows, other=0)
    position = first_row + row % length
    survives = kept(load_stream(STREAM), sample[:, None], 0, position[:, None], quad[None, :], THRESHOLD)
    y = tl.where(survives, x * SCALE, 0.0)
    tl.store(Y + at, y.to(Y.dtype.element_ty), mask=inside)


def constants(p: float) -> dict[str, Any]:
    """THRESHOLD (0: nothing is dropped) and SCALE of a kernel, known when it is compiled."""
    return {"THRESHOLD": threshold(p), "SCALE": 1 / (1 - p)}


def dropout(
    x: Tensor, p: float, stream: Tensor, samples: Tensor, first_row: int, first_column: int
) -> Tensor:
    """x (B, S, D), contiguous; the rest as in Draws."""
    if not x.is_contiguous():
        raise ValueError(f"x {tuple(x.shape)} has strides {x.stride()}: not contiguous")
    out = torch.empty_like(x)
    batch, length, columns = x.shape
    lead = first_column % 4
    grid = (triton.cdiv(batch * length, ROWS), triton.cdiv(lead + columns, BLOCK))
    drop[grid](
        x, out, stream, samples, batch * length, length, columns, first_row, first_column // 4, lead,
        ROWS=ROWS, BLOCK=BLOCK, ACC=tl.float64 if x.dtype == torch.float64 else tl.float32, **constants(p),
    )  # fmt: skip
    return out


def _fake(x: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(x)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, ctx.p, stream, samples, ctx.first_row, ctx.first_column = inputs
    ctx.save_for_backward(stream, samples)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    place = (*ctx.saved_tensors, ctx.first_row, ctx.first_column)
    return torch.ops.taixue.dropout(grad.contiguous(), ctx.p, *place), None, None, None, None, None


register("dropout", dropout, _fake, _save, _backward)
