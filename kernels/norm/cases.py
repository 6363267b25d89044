"""The norm kernels as T5-large and BERT launch them, to be compiled ahead of time."""

from collections.abc import Iterator
from typing import Any

from ..dispatch.aot import Case

KINDS = {
    "RMSNorm": (False, False, False),
    "add, RMSNorm": (False, True, False),
    "dropout, add, LayerNorm": (True, True, True),
}
"""Name -> (centred, with residual add, with dropout)."""

SPILLS = {"3.6": 8}
"""Release of triton -> bytes of registers it keeps in memory in some backward passes (one store, one load)."""


def cases(capability: tuple[int, int]) -> Iterator[Case]:
    """Both passes for bf16 rows of 1024, and the widest with all options."""
    for width in (1024, 4096):
        for kind, options in KINDS.items():
            if width == 1024 or options[0]:
                yield from _passes(f"{kind} {width}", width, *options)


def _passes(label: str, width: int, centred: bool, add: bool, dropout: bool) -> Iterator[Case]:
    import triton.language as tl
    from triton import __version__ as version

    from . import triton

    sizes = triton.tile(width)
    warps = sizes.pop("num_warps")
    switches = {"ACC": tl.float32, "CENTRED": centred, "ADD": add, **sizes}
    switches |= triton.constants(0.1 if dropout else 0.0)
    absent = {"U": not add, "GS": not add, "B": not centred, "MEAN": not centred, "DB": not centred}
    absent |= {"S": not add, "STREAM": not dropout, "SAMPLES": not dropout, "DU": not dropout}
    for name, kernel in (("forward", triton.norm_forward), ("backward", triton.norm_backward)):
        needed = {"S"} if name == "backward" else set()
        constants: dict[str, Any] = {n: None for n, gone in absent.items() if gone and n not in needed}
        constants = {n: v for n, v in (constants | switches).items() if n in kernel.arg_names}
        types = {n: _type(n, name) for n in kernel.arg_names if n not in constants}
        spills = SPILLS.get(version.rpartition(".")[0], 0) if name == "backward" else 0
        yield Case(f"norm {name}: {label}", kernel, types, constants, ("D",), warps, 3, stack_limit=spills)


def _type(name: str, direction: str) -> str:
    if name in ("MEAN", "RSTD") or (name in ("DW", "DB") and direction == "backward"):
        return "*fp32"
    if name in ("rows", "D", "tiles", "length", "first_row"):
        return "i32"
    if name == "eps":
        return "fp32"
    return "*i64" if name in ("STREAM", "SAMPLES") else "*bf16"
