"""The optimizer kernels, to be compiled ahead of time."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..dispatch.aot import Case, Usage

CUDA = "sums of squares, CUDA C++"


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


def by_nvcc(architecture: int, only: Sequence[str] = ("",)) -> Iterator[Usage]:
    """The kernels of multi_tensor.cu by what ptxas reports, if one of `only` is in their name; none without nvcc."""
    from . import cuda

    if not any(part in CUDA for part in only):
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = cuda.build(Path(folder) / "library.so", f"sm_{architecture}")
        except ImportError:
            return
    pattern = (
        r"Function properties for \w*?\d+(?P<name>(?:chunk|tensor)_sums)\w*\s+(?P<stack>\d+) bytes stack frame, "
        r"(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\s+.*?Used (?P<registers>\d+) "
        r"registers(?:.*?, (?P<shared>\d+) bytes smem)?"
    )
    for found in re.finditer(pattern, report):
        yield Usage(
            name=f"{CUDA}: {found['name']}",
            architecture=architecture,
            warps=cuda.WARPS[found["name"]],
            registers=int(found["registers"]),
            stack=int(found["stack"]),
            local_accesses=(int(found["stores"]) + int(found["loads"])) // 4,
            shared=int(found["shared"] or 0),
            hgmma=0,
            hmma=0,
            loops=(),
            stack_limit=0,
            hopper_products=False,
        )


def _type(name: str) -> str:
    if name in ("TABLE", "TENSOR", "START", "NUMEL"):
        return "*i64"
    if name in ("N", "M"):
        return "i32"
    return "*fp32" if name.isupper() else "fp32"
