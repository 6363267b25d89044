"""Kernels compiled for GPUs that are not there: no spilled registers, Hopper's products, shared memory that fits.

In a process of its own, because this one interprets. `taixue kernels` shows all of them; here are the common ones.
"""

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from taixue.launch.cli import main

from .machine import needs_interpreter

pytest.importorskip("triton")


def compiled(*words: str) -> list[dict[str, Any]]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("TRITON_INTERPRET", "TAIXUE_KERNELS")
    }
    command = [sys.executable, "-m", "taixue.launch.cli", "kernels", "--json", *words]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert run.stdout, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.parametrize(
    ("architecture", "kinds"),
    [
        (90, {"128x64: T5 encoder": 1, "64x64: T5 encoder": 3, "64x64: cross, BERT": 2}),
        (80, {"64x64: T5 encoder": 3, "32x64: T5 encoder": 1}),
    ],
)
def test_attention(architecture: int, kinds: dict[str, int]) -> None:
    found = compiled("--arch", str(architecture), "--only", *(f"64 bf16 {kind}" for kind in kinds))
    assert {kind: sum(kind in usage["name"] for usage in found) for kind in kinds} == kinds
    for usage in found:
        assert not usage["fault"], usage
        assert bool(usage["local_accesses"]) == bool(usage["stack"])
        assert usage["stack"] <= usage["stack_limit"]
        assert usage["registers"] <= 255
        assert usage["hgmma" if architecture == 90 else "hmma"] > 0
        assert usage["hmma" if architecture == 90 else "hgmma"] == 0
        assert usage["shared"] <= 100 * 1024  # two blocks on a multiprocessor
        mask = "BERT" in usage["name"]  # bytes of a key mask are too short for asynchronous copies
        assert usage["loops"]
        assert all(copies >= 2 and waiting <= mask for copies, waiting in usage["loops"]), usage


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
def test_cuda_source() -> None:
    found = compiled("--only", "CUDA C++")
    assert [(usage["architecture"], usage["name"].rpartition(" ")[2]) for usage in found] == [
        (architecture, kernel) for architecture in (80, 90) for kernel in ("tensor_sums", "chunk_sums")
    ]
    for usage in found:
        assert not usage["fault"], usage
        assert bool(usage["local_accesses"]) == bool(usage["stack"])
        assert usage["stack"] <= usage["stack_limit"]
        assert 0 < usage["registers"] <= 65536 // (2 * 32 * usage["warps"])  # two blocks on a multiprocessor
        assert (usage["shared"] > 0) == (usage["warps"] > 1)


TTGIR = """
%0 = tt.load %a : tensor<64xf32>
%1 = scf.for %i = %c0 to %c1 step %c2 -> (f32) : i32 {
  %2 = ttg.async_copy_global_to_local %p, %b : tensor<64x64x!tt.ptr<bf16>>
  scf.for %j = %c0 to %c1 step %c2 : i32 {
    %3 = scf.if %c -> (f32) {
      %4 = tt.load %q {isVolatile = false} : tensor<64xi8>
      scf.yield %4
    } else {
      scf.yield %z
    }
  }
  %5 = ttg.async_copy_global_to_local %p, %b mask %m : tensor<64x64x!tt.ptr<bf16>>
} loc(#loc)
%6 = tt.load %a : tensor<64xf32>
"""


def test_loads_are_those_of_the_innermost_loop() -> None:
    from taixue.kernels.dispatch.aot import _loads

    assert _loads(TTGIR) == ((2, 0), (0, 1))


@needs_interpreter
def test_not_while_triton_interprets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels"]) == 2
    assert "unset TRITON_INTERPRET and TAIXUE_KERNELS" in capsys.readouterr().err
