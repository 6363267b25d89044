"""Which implementation of an op runs: its Triton kernels, or the PyTorch reference that says what they compute.

The environment variable TAIXUE_KERNELS decides for the process:
  auto (default)  Triton on CUDA devices of compute capability 8.0 and up, the reference elsewhere
  reference       the reference everywhere
  interpret       Triton's interpreter on CPU tensors, thousands of times slower: for tests and `taixue verify`

An op asks `obstacle` once per call and takes its fast path when there is none. Nothing here or in a package's
__init__ imports triton; the modules that hold kernels do, and are imported by the first call that needs them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import torch

from taixue.base import UserError

__all__ = ["MODES", "OPS", "Op", "explain", "mode", "obstacle", "using"]

MODES = ("auto", "reference", "interpret")

HALF_AND_SINGLE = (torch.bfloat16, torch.float16, torch.float32)
"""What Triton kernels read and write; they accumulate in fp32."""

FLOATING = (*HALF_AND_SINGLE, torch.float64)
"""The same for kernels without products of matrices: those accumulate float64 in itself."""


@dataclass(frozen=True)
class Op:
    """What the kernels of an op take. limits: on shapes and uses, in words."""

    dtypes: tuple[torch.dtype, ...]
    limits: str = ""


OPS = {
    "attention": Op(HALF_AND_SINGLE, "head dim up to 128"),
    "norm": Op(FLOATING, "width up to 16384"),
    "gated_ffn": Op(FLOATING),
    "dropout": Op(FLOATING),
    "loss": Op(FLOATING, "hard labels; a teacher's top-k takes the reference"),
    "optim": Op((torch.float32,), "plain fp32 states"),
}
"""Every op that has kernels."""

_mode = os.environ.get("TAIXUE_KERNELS", "auto")


def mode() -> str:
    """The mode in force, one of MODES."""
    if _mode not in MODES:
        raise UserError(f"TAIXUE_KERNELS={_mode} is not one of {', '.join(MODES)}")
    return _mode


@contextmanager
def using(chosen: str) -> Iterator[None]:
    """Run the body in another mode; for all threads, because autograd runs backward passes in its own."""
    global _mode
    before, _mode = _mode, chosen
    try:
        mode()
        yield
    finally:
        _mode = before


def obstacle(op: str, device: torch.device, dtype: torch.dtype, unfit: str = "") -> str:
    """Why `op` cannot take its fast path for tensors like this; "" when it can.

    unfit: the op's own reason, about shapes. Safe inside torch.compile.
    """
    current = mode()
    if current == "reference":
        return "TAIXUE_KERNELS=reference"
    if current == "interpret":
        if device.type != "cpu":
            return "the interpreter works on CPU tensors"
        _require_interpreter()
    else:
        if device.type != "cuda":
            return f"tensors on {device.type}"
        missing = _gpu_obstacle()
        if missing:
            return missing
    if dtype not in OPS[op].dtypes:
        return "dtype without kernels"
    return unfit


def explain() -> list[tuple[str, str, str]]:
    """(op, "triton", "interpreter" or "reference", why) of each op on this machine, for ordinary shapes."""
    current = mode()
    device = torch.device("cuda" if current == "auto" and torch.cuda.is_available() else "cpu")
    lines = []
    for name, op in OPS.items():
        reason = obstacle(name, device, op.dtypes[0])
        path = "reference" if reason else "interpreter" if current == "interpret" else "triton"
        kinds = ", ".join(str(dtype).removeprefix("torch.") for dtype in op.dtypes)
        lines.append((name, path, reason or ", ".join(filter(None, (kinds, op.limits)))))
    return lines


@torch.compiler.assume_constant_result
def _gpu_obstacle() -> str:
    return _gpu_obstacle_of_machine()


@cache
def _gpu_obstacle_of_machine() -> str:
    if find_spec("triton") is None:
        return "triton is missing"
    capabilities = [torch.cuda.get_device_capability(index) for index in range(torch.cuda.device_count())]
    oldest = min(capabilities, default=(0, 0))
    return "" if oldest >= (8, 0) else f"compute capability {oldest[0]}.{oldest[1]}, kernels need 8.0"


@torch.compiler.assume_constant_result
def _require_interpreter() -> None:
    from .interpreter import prepare

    prepare()
