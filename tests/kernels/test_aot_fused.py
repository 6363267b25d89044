"""The fused ops' kernels compiled for GPUs that are not there: nothing is spilled, and they leave room for occupancy.

In a process of its own, because this one interprets.
"""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

CODE = """
import json, sys
from dataclasses import asdict
from importlib import import_module
from taixue.kernels.dispatch import aot
for package in ("norm", "gated_ffn", "loss", "optim"):
    for architecture, only in ((90, ""), (80, ("backward: dropout", "32128", "backward: gelu_new", "A"))):
        for case in import_module(f"taixue.kernels.{package}.cases").cases(divmod(architecture, 10)):
            if not only or any(part in case.name for part in only):
                usage = aot._compile(case, architecture)
                print(json.dumps(asdict(usage) | {"fault": usage.fault}))
"""


def test_nothing_is_spilled() -> None:
    hidden = ("TRITON_INTERPRET", "TAIXUE_KERNELS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, "-W", "ignore", "-c", CODE]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stderr
    usages = [json.loads(line) for line in run.stdout.splitlines()]
    assert {usage["architecture"] for usage in usages} == {80, 90}
    assert len(usages) > 30
    for usage in usages:
        assert not usage["fault"], usage
        assert usage["local_accesses"] <= usage["stack"] // 4, usage
        assert usage["registers"] * usage["warps"] * 32 <= 65536, usage  # a block fits
        assert usage["shared"] <= 16 * 1024, usage
        if "norm" not in usage["name"]:
            assert usage["registers"] <= 128, usage
