"""The two passes over a block of logits in Triton: statistics of each row, then the gradient in place of the logits.

They move 3 numbers per logit in all: read once for the statistics, read and written once for the gradient.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .reference import IGNORE, wide

BLOCK = 4096
"""Columns of a row that a program holds at a time."""


@triton.jit
def loss_statistics(
    LOGITS, LABELS, OUT, rows, groups, first, WIDTH: tl.constexpr, BLOCK: tl.constexpr, ACC: tl.constexpr
):  # fmt: skip
    """OUT (4, rows): maximum, sum of exp(logit - maximum), the label's logit, sum of logits. One program: a row.

    V is groups x WIDTH, here and below: where the compiler sees a multiple of 8, accesses to bf16 are 16 bytes wide.
    """
    V = groups * WIDTH
    row = tl.program_id(0).to(tl.int64)
    label = tl.load(LABELS + row) - first
    line = LOGITS + row * V
    maximum = tl.full((BLOCK,), float("-inf"), dtype=ACC)
    exponentials = tl.zeros((BLOCK,), dtype=ACC)
    total = tl.zeros((BLOCK,), dtype=ACC)
    target = tl.zeros((BLOCK,), dtype=ACC)
    for start in range(
        0, V, BLOCK
    ):  # every lane keeps a running maximum of its own: no reduction inside the loop
        column = start + tl.arange(0, BLOCK)
        x = tl.load(line + column, mask=column < V, other=float("-inf")).to(ACC)
        higher = tl.maximum(maximum, x)
        shift = tl.where(higher == float("-inf"), 0.0, higher)
        exponentials = exponentials * tl.exp(maximum - shift) + tl.exp(x - shift)
        maximum = higher
        x = tl.where(
            column < V, x, 0.0
        )  # a label of another rank may lie in what is past this rank's last column
        total += x
        target += tl.where(column == label, x, 0.0)
    highest = tl.max(maximum, 0)
    shift = tl.where(highest == float("-inf"), 0.0, highest)
    tl.store(OUT + row, highest)
    tl.store(OUT + rows + row, tl.sum(exponentials * tl.exp(maximum - shift), 0))
    tl.store(OUT + 2 * rows + row, tl.sum(target, 0))
    tl.store(OUT + 3 * rows + row, tl.sum(total, 0))


@triton.jit
def loss_gradient(
    LOGITS, LABELS, LSE, groups, first, z, t, u,
    IGNORED: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """logit -> softmax (1 + z lse) - t [label] - u, 0 in ignored rows. One program: BLOCK columns of a row."""
    V = groups * WIDTH
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    at = LOGITS + row * V + column
    label = tl.load(LABELS + row)
    lse = tl.load(LSE + row).to(ACC)
    x = tl.load(at, mask=column < V, other=0.0).to(ACC)
    x = tl.exp(x - lse) * (1.0 + z * lse) - u - tl.where(column == label - first, t, 0.0)
    tl.store(at, tl.where(label == IGNORED, 0.0, x).to(LOGITS.dtype.element_ty), mask=column < V)


def block(columns: int) -> dict[str, int]:
    """BLOCK, WIDTH and num_warps for rows of so many logits."""
    width = 8 if columns % 8 == 0 else 1
    return {"BLOCK": min(BLOCK, max(128, triton.next_power_of_2(columns))), "WIDTH": width, "num_warps": 8}


@torch.library.custom_op("taixue::loss_statistics", mutates_args=())
def statistics(logits: Tensor, labels: Tensor, first: int) -> Tensor:
    """As reference.statistics, for contiguous logits."""
    if not logits.is_contiguous():
        raise ValueError(f"logits {tuple(logits.shape)} have strides {logits.stride()}: not contiguous")
    rows, columns = logits.shape
    out = logits.new_empty((4, rows), dtype=wide(logits.dtype))
    sizes = block(columns)
    acc = tl.float64 if out.dtype == torch.float64 else tl.float32
    loss_statistics[(rows,)](logits, labels, out, rows, columns // sizes["WIDTH"], first, ACC=acc, **sizes)
    return out


@statistics.register_fake
def _(logits: Tensor, labels: Tensor, first: int) -> Tensor:
    return logits.new_empty((4, logits.shape[0]), dtype=wide(logits.dtype))


@torch.library.custom_op("taixue::loss_gradient", mutates_args=("logits",))
def gradient_(logits: Tensor, labels: Tensor, first: int, lse: Tensor, z: float, t: float, u: float) -> None:
    """As reference.gradient_, for contiguous logits."""
    if not logits.is_contiguous():
        raise ValueError(f"logits {tuple(logits.shape)} have strides {logits.stride()}: not contiguous")
    rows, columns = logits.shape
    sizes = block(columns)
    acc = tl.float64 if lse.dtype == torch.float64 else tl.float32
    loss_gradient[(rows, triton.cdiv(columns, sizes["BLOCK"]))](
        logits, labels, lse, columns // sizes["WIDTH"], first, z, t, u, IGNORED=IGNORE, ACC=acc, **sizes
    )


@gradient_.register_fake
def _(logits: Tensor, labels: Tensor, first: int, lse: Tensor, z: float, t: float, u: float) -> None:
    return None
