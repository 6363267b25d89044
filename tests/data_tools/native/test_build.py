"""Taixue installs and works without a compiler, only slower, and says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from taixue.data_tools import native
from taixue.data_tools.native import extension

ROOT = Path(__file__).parents[3]


def run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_no_compiler(tmp_path: Path) -> None:
    pytest.importorskip("pybind11")
    build = [
        "setup.py",
        "build_ext",
        "--build-lib",
        str(tmp_path / "lib"),
        "--build-temp",
        str(tmp_path / "temp"),
    ]
    done = run(build, CC="false", CXX="false")
    assert done.returncode == 0, done.stderr
    for name in ("data_tools", "pretrain.objectives"):
        assert f"installed without taixue.{name}._native: a C++17 compiler is needed" in done.stderr
    assert not list(tmp_path.rglob("_native*"))


def test_plain_by_choice() -> None:
    code = "from taixue.data_tools import native as n; print(n.status()); print(n.normalize(['ＡＢ　Ｃ']))"
    done = run(["-c", code], TAIXUE_NATIVE="off")
    assert done.stdout.splitlines() == ["plain Python (TAIXUE_NATIVE=off)", "['AB C']"], done.stderr


def test_an_extension_of_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extension, "_VERSION", 0)
    extension.loaded.cache_clear()
    with pytest.warns(UserWarning, match="another version"):
        assert not native.is_native()
    extension.loaded.cache_clear()
