"""The demo's tokenizer and corpus, made once by the commands themselves, whichever worker comes first."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Puts runs/demo into a folder of one's own."""
    temporary = tmp_path_factory.getbasetemp()
    shared = (temporary.parent if "PYTEST_XDIST_WORKER" in os.environ else temporary) / "demo"
    shared.mkdir(exist_ok=True)
    with open(shared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "made").exists():
            for words in (
                ["corpus", "sample", "runs/demo/text"],
                ["tokenizer", "train", "corpus/demo-tokenizer", "--output", "runs/demo/tokenizer"],
                ["corpus", "build", "corpus/demo"],
            ):
                command = [sys.executable, "-m", "taixue.launch.cli", *words]
                environment = os.environ | {"PYTHONPATH": str(ROOT)}
                subprocess.run(
                    command, cwd=shared, env=environment, check=True, timeout=120, capture_output=True
                )
            (shared / "made").touch()

    def copy(folder: Path) -> None:
        shutil.copytree(shared / "runs", folder / "runs")

    return copy
