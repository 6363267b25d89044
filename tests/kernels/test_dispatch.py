"""Which path an op takes, and that it can be said, forced and undone."""

import os
import subprocess
import sys

import pytest
import torch

from taixue import UserError
from taixue.kernels import dispatch

from .machine import needs_interpreter

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_reference_turns_all_off() -> None:
    with dispatch.using("reference"):
        assert dispatch.obstacle("attention", CUDA, torch.bfloat16) == "TAIXUE_KERNELS=reference"
        assert {path for _, path, _ in dispatch.explain()} == {"reference"}


def test_auto_takes_no_kernel_on_a_cpu() -> None:
    with dispatch.using("auto"):
        assert dispatch.obstacle("attention", CPU, torch.float32) == "tensors on cpu"


@needs_interpreter
def test_interpret_takes_cpu_tensors_of_known_dtypes() -> None:
    pytest.importorskip("triton")
    with dispatch.using("interpret"):
        assert dispatch.obstacle("attention", CPU, torch.float32) == ""
        assert dispatch.obstacle("attention", CPU, torch.float64) == "dtype without kernels"
        assert dispatch.obstacle("attention", CUDA, torch.float32) == "the interpreter works on CPU tensors"
        assert dispatch.obstacle("attention", CPU, torch.float32, "head dim 256") == "head dim 256"
        assert {path for _, path, _ in dispatch.explain()} == {"interpreter"}


def test_a_mode_ends_with_its_block() -> None:
    before = dispatch.mode()
    with pytest.raises(UserError, match="TAIXUE_KERNELS=fast is not one of auto"), dispatch.using("fast"):
        pass
    assert dispatch.mode() == before


def run(code: str, **environment: str) -> str:
    rest = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=rest | environment, capture_output=True, text=True, timeout=120
    ).stdout.strip()


def test_the_environment_decides() -> None:
    pytest.importorskip("triton")
    code = (
        "import taixue.kernels.dispatch as d, triton.language as tl; "
        "print(d.explain()[0][1], type(tl.sum).__name__)"
    )
    assert run(code, TAIXUE_KERNELS="interpret") == "interpreter InterpretedFunction"
    assert run(code, TAIXUE_KERNELS="reference") == "reference JITFunction"


def test_the_interpreter_cannot_be_asked_for_after_triton_was_imported() -> None:
    pytest.importorskip("triton")
    code = """
import triton, torch
from taixue import UserError
from taixue.kernels import dispatch
try:
    with dispatch.using("interpret"):
        dispatch.obstacle("attention", torch.device("cpu"), torch.float32)
except UserError as error:
    print(error)
"""
    assert "set TAIXUE_KERNELS=interpret in the environment" in run(code)
