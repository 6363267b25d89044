"""Optimizer steps in Triton, fp32: AdamW over many tensors in one launch, and Adafactor's three passes over a matrix.

AdamW moves 28 bytes per parameter, Adafactor 20; the clipping factor is read from the device, so that nobody waits for
it on the CPU. Sums are taken per tile and then added in a fixed order.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from .reference import GRADIENT_FLOOR

BLOCK = 4096
TILE_ROWS, TILE_COLUMNS = 32, 128


@triton.jit
def adamw(
    TABLE, TENSOR, START, NUMEL, SCALE, SIZES, lr, beta1, beta2, eps, keep, correction1, correction2,
    BLOCK: tl.constexpr, ALIGNED: tl.constexpr, SCALED: tl.constexpr, RELATIVE: tl.constexpr,
):  # fmt: skip
    """One program: BLOCK numbers of one tensor. TABLE (tensors, 4): addresses of parameter, gradient, mean, square.

    ALIGNED: addresses and sizes are multiples of 16, so that accesses are 16 bytes wide.
    """
    program = tl.program_id(0)
    tensor = tl.load(TENSOR + program)
    start = tl.load(START + program)
    numel = tl.load(NUMEL + tensor)
    P = tl.load(TABLE + 4 * tensor).to(tl.pointer_type(tl.float32))
    G = tl.load(TABLE + 4 * tensor + 1).to(tl.pointer_type(tl.float32))
    M = tl.load(TABLE + 4 * tensor + 2).to(tl.pointer_type(tl.float32))
    V = tl.load(TABLE + 4 * tensor + 3).to(tl.pointer_type(tl.float32))
    if ALIGNED:
        start, numel = tl.multiple_of(start, 16), tl.multiple_of(numel, 16)
        P, G, M, V = (
            tl.multiple_of(P, 16),
            tl.multiple_of(G, 16),
            tl.multiple_of(M, 16),
            tl.multiple_of(V, 16),
        )
    at = start + tl.arange(0, BLOCK)
    inside = at < numel
    g = tl.load(G + at, mask=inside, other=0.0)
    if SCALED:
        g = g * tl.load(SCALE)
    m = tl.load(M + at, mask=inside, other=0.0)
    v = tl.load(V + at, mask=inside, other=0.0)
    p = tl.load(P + at, mask=inside, other=0.0)
    m = m + (g - m) * (1.0 - beta1)
    v = v * beta2 + g * g * (1.0 - beta2)
    rate = lr / correction1
    if RELATIVE:
        rate = rate * tl.load(SIZES + tensor)
    p = p * keep - rate * m / (tl.sqrt(v / correction2) + eps)
    tl.store(M + at, m, mask=inside)
    tl.store(V + at, v, mask=inside)
    tl.store(P + at, p, mask=inside)


@triton.jit
def squares(G, SCALE, BY_ROW, BY_COLUMN, N, M, floor, SCALED: tl.constexpr, R: tl.constexpr, C: tl.constexpr):
    """One program: a tile. BY_ROW (column tiles, N), BY_COLUMN (row tiles, M): sums of (scale g)^2 + floor."""
    row = tl.program_id(0) * R + tl.arange(0, R)
    column = tl.program_id(1) * C + tl.arange(0, C)
    inside = (row < N)[:, None] & (column < M)[None, :]
    g = tl.load(G + row.to(tl.int64)[:, None] * M + column[None, :], mask=inside, other=0.0)
    if SCALED:
        g = g * tl.load(SCALE)
    square = tl.where(inside, g * g + floor, 0.0)
    tl.store(BY_ROW + tl.program_id(1) * N + row, tl.sum(square, 1), mask=row < N)
    tl.store(BY_COLUMN + tl.program_id(0).to(tl.int64) * M + column, tl.sum(square, 0), mask=column < M)


@triton.jit
def factored(
    P, G, SCALE, ROWS, COLUMNS, OUT, DECAY, RATE, N, M,
    SCALED: tl.constexpr, STEP: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """One program: a tile of U = scale g rows columns^T: its sum of squares; with STEP p <- p (1 - decay) - rate U."""
    row = tl.program_id(0) * R + tl.arange(0, R)
    column = tl.program_id(1) * C + tl.arange(0, C)
    inside = (row < N)[:, None] & (column < M)[None, :]
    at = row.to(tl.int64)[:, None] * M + column[None, :]
    u = tl.load(G + at, mask=inside, other=0.0)
    u = u * tl.load(ROWS + row, mask=row < N, other=0.0)[:, None]
    u = u * tl.load(COLUMNS + column, mask=column < M, other=0.0)[None, :]
    if SCALED:
        u = u * tl.load(SCALE)
    if STEP:
        p = tl.load(P + at, mask=inside, other=0.0)
        tl.store(P + at, p * (1.0 - tl.load(DECAY)) - u * tl.load(RATE), mask=inside)
    else:
        tl.store(OUT + tl.program_id(0) * tl.num_programs(1) + tl.program_id(1), tl.sum(tl.sum(u * u, 1), 0))


@lru_cache(maxsize=16)
def _blocks(sizes: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(tensor of each block, first number of each block, sizes) as int64 on the device."""
    numel = torch.tensor(sizes)
    counts = (numel + BLOCK - 1) // BLOCK
    tensor = torch.repeat_interleave(torch.arange(len(sizes)), counts)
    start = (torch.arange(len(tensor)) - (counts.cumsum(0) - counts)[tensor]) * BLOCK
    return tensor.to(device), start.to(device), numel.to(device)


def adamw_step(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    means: Sequence[Tensor],
    squares: Sequence[Tensor],
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    step: int,
    scale: Tensor | None,
    sizes: Tensor | None,
) -> None:
    """As kernels.optim.adamw_step, for contiguous fp32 tensors."""
    device = parameters[0].device
    members = [tensor for four in zip(parameters, gradients, means, squares, strict=True) for tensor in four]
    addresses = torch.tensor([tensor.data_ptr() for tensor in members], pin_memory=device.type == "cuda")
    counts = tuple(parameter.numel() for parameter in parameters)
    aligned = bool((addresses % 16 == 0).all()) and all(count % 16 == 0 for count in counts)
    tensor, start, numel = _blocks(counts, device)
    adamw[(len(tensor),)](
        addresses.to(device, non_blocking=True), tensor, start, numel,
        scale, sizes, lr, *betas, eps, 1 - lr * weight_decay, 1 - betas[0] ** step, 1 - betas[1] ** step,
        BLOCK=BLOCK, ALIGNED=aligned, SCALED=scale is not None, RELATIVE=sizes is not None, num_warps=8,
    )  # fmt: skip


def _grid(matrix: Tensor) -> tuple[int, int]:
    return triton.cdiv(matrix.shape[0], TILE_ROWS), triton.cdiv(matrix.shape[1], TILE_COLUMNS)


def squared_sums(gradient: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """As reference.squared_sums."""
    (rows, columns), grid = gradient.shape, _grid(gradient)
    by_row, by_column = gradient.new_empty((grid[1], rows)), gradient.new_empty((grid[0], columns))
    squares[grid](
        gradient, scale, by_row, by_column, rows, columns, GRADIENT_FLOOR,
        SCALED=scale is not None, R=TILE_ROWS, C=TILE_COLUMNS,
    )  # fmt: skip
    return by_row.sum(0), by_column.sum(0)


def factored_square_sum(gradient: Tensor, scale: Tensor | None, rows: Tensor, columns: Tensor) -> Tensor:
    """As reference.factored_square_sum."""
    grid = _grid(gradient)
    out = gradient.new_empty(grid)
    factored[grid](
        None, gradient, scale, rows, columns, out, None, None, *gradient.shape,
        SCALED=scale is not None, STEP=False, R=TILE_ROWS, C=TILE_COLUMNS,
    )  # fmt: skip
    return out.sum(dtype=torch.float64)


def factored_step_(
    parameter: Tensor,
    gradient: Tensor,
    scale: Tensor | None,
    rows: Tensor,
    columns: Tensor,
    decay: Tensor,
    rate: Tensor,
) -> None:
    """As reference.factored_step_."""
    factored[_grid(gradient)](
        parameter, gradient, scale, rows, columns, None, decay, rate, *gradient.shape,
        SCALED=scale is not None, STEP=True, R=TILE_ROWS, C=TILE_COLUMNS,
    )  # fmt: skip
