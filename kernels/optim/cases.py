"""The optimizer kernels, to be compiled ahead of time."""

from collections.abc import Iterator
from typing import Any

from ..dispatch.aot import Case


def cases(capability: tuple[int, int]) -> Iterator[Case]:
    """AdamW with every option, and Adafactor's three passes."""
    from . import triton

    on = {"SCALED": True}
    tile = {**on, "R": triton.TILE_ROWS, "C": triton.TILE_COLUMNS}
    adamw: dict[str, Any] = {**on, "BLOCK": triton.BLOCK, "ALIGNED": True, "RELATIVE": True}
    summing = {**tile, "STEP": False, "P": None, "DECAY": None, "RATE": None}
    stepping = {**tile, "STEP": True, "OUT": None}
    for name, kernel, constants, warps in (
        ("AdamW", triton.adamw, adamw, 8),
        ("Adafactor: sums of squares", triton.squares, tile, 4),
        ("Adafactor: size of the update", triton.factored, summing, 4),
        ("Adafactor: step", triton.factored, stepping, 4),
    ):
        types = {n: _type(n) for n in kernel.arg_names if n not in constants}
        yield Case(name, kernel, types, constants, ("N", "M"), warps, 3)


def _type(name: str) -> str:
    if name in ("TABLE", "TENSOR", "START", "NUMEL"):
        return "*i64"
    if name in ("N", "M"):
        return "i32"
    return "*fp32" if name.isupper() else "fp32"
