"""Kernels compiled for GPUs that are not there: no spilled registers, Hopper's products, shared memory that fits.

In a process of its own, because this one interprets. `taixue kernels` shows all of them; here are the common ones.
"""

import json
import os
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
        assert usage["stack"] == usage["local_accesses"] == 0
        assert usage["registers"] <= 255
        assert usage["hgmma" if architecture == 90 else "hmma"] > 0
        assert usage["hmma" if architecture == 90 else "hgmma"] == 0
        assert usage["shared"] <= 100 * 1024  # two blocks on a multiprocessor


@needs_interpreter
def test_not_while_triton_interprets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels"]) == 2
    assert "unset TRITON_INTERPRET and TAIXUE_KERNELS" in capsys.readouterr().err
