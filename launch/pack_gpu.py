"""All that a bare GPU machine without a network needs, in one folder: `python -m taixue.launch.pack_gpu OUT`.

The machine has Python 3.12, torch, triton and transformers with what these need. Into OUT come wheels of what else
pyproject.toml lists and of Liger's kernels, Taixue itself with its C++ extensions built for that Python, the demo's
tokenizer and corpus, and `setup.sh`, which installs all this beside itself and starts `taixue bench gpu`.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

from taixue.base import UserError

ROOT = Path(__file__).resolve().parents[1]

THERE = (
    "torch",
    "transformers",
    "tokenizers",
    "huggingface_hub",
    "safetensors",
    "numpy",
    "fsspec",
    "packaging",
)
"""Of pyproject's dependencies: what comes with torch and transformers."""

WITHOUT_DEPENDENCIES = ("liger-kernel",)
"""Rivals; what they need is there."""

MOST = 64 * 2**20
"""Bytes of the whole folder."""

NOT_SOURCES = shutil.ignore_patterns(
    ".*", "build", "runs", "data", "tests", "docs", "*.so", "*.egg-info", "__pycache__", "node_modules"
)


def pack(out: Path, python: str) -> int:
    """Make the folder, with `python` of the machine's version; its size in bytes. Raises UserError."""
    if shutil.which(python) is None:
        raise UserError(f"--python {python}: not found; it is to be the Python version of the GPU machine")
    if out.exists():
        raise UserError(f"{out} exists; name a new folder")
    wheels = out / "wheels"
    wheels.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as work:
        _run(python, "-m", "venv", f"{work}/venv")
        pip = f"{work}/venv/bin/pip"
        _run(pip, "download", "-q", "--only-binary=:all:", "-d", str(wheels), *wanted())
        _run(pip, "download", "-q", "--no-deps", "-d", str(wheels), *WITHOUT_DEPENDENCIES)
        shutil.copytree(ROOT, f"{work}/taixue", symlinks=True, ignore=NOT_SOURCES)
        _run(pip, "wheel", "-q", "--no-deps", "-w", str(wheels), f"{work}/taixue")
    _check_extensions(next(wheels.glob("taixue_pretrain-*.whl")))
    demo = out / "demo"
    taixue = (sys.executable, "-m", "taixue.launch.cli")
    _run(*taixue, "corpus", "sample", "runs/demo/text")
    _run(*taixue, "tokenizer", "train", "corpus/demo-tokenizer", "--output", f"{demo}/tokenizer")
    corpus = ("--tokenizer", f"{demo}/tokenizer", "--output", f"{demo}/corpus")
    _run(*taixue, "corpus", "build", "corpus/demo", *corpus)
    shutil.copy(Path(__file__).with_name("gpu_setup.sh"), out / "setup.sh")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    if size > MOST:
        raise UserError(f"{out}: {size / 2**20:.1f} MiB, at most {MOST / 2**20:.0f} can be carried")
    return size


def wanted() -> list[str]:
    """The requirements of pyproject.toml that the machine lacks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [line for line in project["dependencies"] if re.split(r"[<>=!~\[; ]", line)[0] not in THERE]


def _check_extensions(wheel: Path) -> None:
    """setuptools goes on without an extension that does not compile."""
    with zipfile.ZipFile(wheel) as archive:
        built = [name for name in archive.namelist() if name.endswith(".so")]
    if len(built) != 2:
        raise UserError(f"{wheel.name} has {len(built)} of 2 C++ extensions: a C++17 compiler is needed here")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise UserError(f"{' '.join(command[:6])} ended with status {done.returncode}:\n{last}")


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m taixue.launch.pack_gpu", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to make")
    parser.add_argument(
        "--python",
        metavar="PROGRAM",
        default="python3.12",
        help="of the GPU machine's version (default: python3.12)",
    )
    options = parser.parse_args()
    try:
        size = pack(options.out, options.python)
    except UserError as error:
        print(f"taixue: {error}", file=sys.stderr)
        return 2
    wheels = sorted(path.name for path in options.out.glob("wheels/*.whl"))
    print("\n".join(wheels))
    print(f"{options.out}: {size / 2**20:.1f} MiB; on the machine: {options.out}/setup.sh")
    return 0


if __name__ == "__main__":
    sys.exit(main())
