"""Kernels that do nothing: the host's work of a step on a machine without a GPU, as if there were one.

Ops take their Triton path on CPU tensors; their Python, autograd and dispatch run, launches are counted and nothing is
launched. Results are meaningless. What is missing of the host's work is the launch itself, some microseconds each.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from taixue.base import UserError
from taixue.kernels import dispatch


@contextmanager
def kernels_faked(finite: bool = False) -> Iterator[Counter[str]]:
    """In the body Triton's kernels are counted by name instead of launched. UserError without triton.

    finite: what ops allocate for kernels to fill is filled with ones, so that losses and norms are numbers, as a
    training loop wants; takes a little time of its own.
    """
    try:
        from triton.runtime.interpreter import InterpretedFunction
        from triton.runtime.jit import JITFunction
    except ImportError:
        raise UserError("counting kernel launches needs triton: pip install triton") from None
    launched: Counter[str] = Counter()

    def nothing(kernel: Any, grid: Any) -> Callable[..., None]:
        name = getattr(kernel, "__name__", "kernel")

        def launch(*arguments: Any, **options: Any) -> None:
            launched[name] += 1

        return launch

    with ExitStack() as replaced:
        for kind in (JITFunction, InterpretedFunction):
            replaced.enter_context(_replaced(kind, "__getitem__", nothing))
        replaced.enter_context(_replaced(dispatch, "_require_interpreter", lambda: None))
        if finite:
            replaced.enter_context(_replaced(torch, "empty_like", torch.ones_like))
            replaced.enter_context(_replaced(torch.Tensor, "new_empty", torch.Tensor.new_ones))
        replaced.enter_context(dispatch.using("interpret"))
        yield launched


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute of a module or class, inherited ones too, is `value` in the body."""
    own = name in vars(owner)
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)
