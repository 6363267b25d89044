"""Dropout's kernel as models launch it, to be compiled ahead of time."""

from collections.abc import Iterator

from ..dispatch.aot import Case


def cases(capability: tuple[int, int]) -> Iterator[Case]:
    """bf16 at p = 0.1; forward and backward are one kernel."""
    import triton.language as tl

    from . import triton

    constants = {"ROWS": triton.ROWS, "BLOCK": triton.BLOCK, "ACC": tl.float32, **triton.constants(0.1)}
    types = {"X": "*bf16", "Y": "*bf16", "STREAM": "*i64", "SAMPLES": "*i64"}
    types |= {n: "i32" for n in triton.drop.arg_names if n not in types and n not in constants}
    yield Case("dropout", triton.drop, types, constants, ("length", "columns", "lead"), 4, 3)
