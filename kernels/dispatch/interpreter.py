"""Triton's interpreter: kernels run on CPU tensors through numpy, one program after the other."""

import os
import sys
import warnings
from functools import cache
from typing import Any

from taixue.base import UserError


@cache
def prepare() -> None:
    """Make sure that kernels defined from now on are interpreted, bf16 products included."""
    if "triton" not in sys.modules:
        os.environ["TRITON_INTERPRET"] = "1"
    try:
        import triton.language as tl
        from triton.runtime.interpreter import InterpretedFunction
    except ImportError:
        raise UserError("TAIXUE_KERNELS=interpret needs triton: pip install triton") from None
    if not isinstance(tl.sum, InterpretedFunction):
        raise UserError(
            "triton was imported before the interpreter was asked for: "
            "set TAIXUE_KERNELS=interpret in the environment"
        )
    # Infinities and their differences are nothing special on a GPU.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"triton\.runtime\.interpreter")
    _mend_bf16_products()
    _mend_indices()
    _patch_language_once()


def _mend_bf16_products() -> None:
    """The interpreter keeps bf16 numbers as 16-bit integers, and its tl.dot multiplies those (triton 3.6 to 3.9)."""
    import numpy as np
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    original = InterpreterBuilder.create_dot

    def widen(handle: Any) -> Any:
        if handle.dtype.scalar == tl.bfloat16:
            return (handle.data.astype(np.uint32) << 16).view(np.float32)
        return handle.data

    def create_dot(self: Any, a: Any, b: Any, accumulator: Any, *options: Any) -> Any:
        if tl.bfloat16 not in (a.dtype.scalar, b.dtype.scalar):
            return original(self, a, b, accumulator, *options)
        product = np.matmul(widen(a), widen(b), dtype=np.float32) + accumulator.data
        return TensorHandle(product, accumulator.dtype.scalar)

    InterpreterBuilder.create_dot = create_dot


def _mend_indices() -> None:
    """Triton 3.6's bounds of a `range` are arrays of one number; numpy 2.5 makes no int of those (3.9 is mended)."""
    import triton
    from triton.runtime import interpreter

    if tuple(map(int, triton.__version__.split(".")[:2])) >= (3, 9):
        return
    original = interpreter._patch_lang_tensor

    def patch(tensor: Any, scope: Any) -> None:
        original(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = patch


def _patch_language_once() -> None:
    """The interpreter patches triton.language anew in each call of each function, which is over half of its time."""
    from triton.runtime import interpreter

    class Kept:
        def restore(self) -> None:
            pass

    original, patched = interpreter._patch_lang, set[int]()

    def patch(function: Any) -> Kept:
        if id(function.__globals__) not in patched:
            original(function)
            patched.add(id(function.__globals__))
        return Kept()

    interpreter._patch_lang = patch
