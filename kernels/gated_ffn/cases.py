"""The gate's kernels as models launch them, to be compiled ahead of time."""

from collections.abc import Iterator

from ..dispatch.aot import Case


def cases(capability: tuple[int, int]) -> Iterator[Case]:
    """Both passes in bf16 for every activation."""
    import triton.language as tl

    from . import triton
    from .reference import ACTIVATIONS

    for activation in ACTIVATIONS:
        constants = {"KIND": activation, "BLOCK": triton.BLOCK, "ACC": tl.float32}
        for name, kernel in (("forward", triton.gate_forward), ("backward", triton.gate_backward)):
            types = {n: "*bf16" for n in kernel.arg_names if n not in constants} | {"count": "i32"}
            yield Case(f"gate {name}: {activation}", kernel, types, constants, ("count",), 4, 3)
