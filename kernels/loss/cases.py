"""The loss kernels as T5 and BERT launch them, to be compiled ahead of time."""

from collections.abc import Iterator

from ..dispatch.aot import Case
from .reference import IGNORE


def cases(capability: tuple[int, int]) -> Iterator[Case]:
    """Both passes in bf16: a vocabulary of 32128, and one that is no multiple of 8."""
    import triton.language as tl

    from . import triton

    common = {"LOGITS": "*bf16", "LABELS": "*i64", "groups": "i32", "first": "i32"}
    for vocabulary in (32128, 21127):
        sizes = triton.block(vocabulary)
        warps = sizes.pop("num_warps")
        constants = {"ACC": tl.float32, **sizes}
        types = common | {"OUT": "*fp32", "rows": "i32"}
        yield Case(f"loss statistics: {vocabulary}", triton.loss_statistics, types, constants, (), warps, 3)
        types = common | {"LSE": "*fp32", "z": "fp32", "t": "fp32", "u": "fp32"}
        constants = constants | {"IGNORED": IGNORE}
        yield Case(f"loss gradient: {vocabulary}", triton.loss_gradient, types, constants, (), warps, 3)
