"""What an installation from a wheel holds: one import name, the presets, the sample text, the scripts; and an sdist."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("taixue", "launch", "pretrain", "parallel", "data_tools", "kernels", "configs")
FILES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
# Whether the extension is built is the subject of tests/data_tools/native.
ENVIRONMENT = os.environ | {"TAIXUE_NATIVE": "off"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("source")
    for part in PARTS:
        shutil.copytree(
            ROOT / part, folder / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in FILES:
        shutil.copy(ROOT / file, folder / file)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = ["pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", out, source]
    subprocess.run([sys.executable, "-m", *build], check=True, timeout=120, env=ENVIRONMENT)
    return next(out.glob("taixue_pretrain-*.whl"))


def test_one_import_name(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"taixue"}
    assert len(names) == len(set(names))
    assert not [name for name in names if "/tests/" in name or name.endswith((".cc", ".h"))]


def test_everything_is_inside(wheel: Path) -> None:
    packed = {name for name in ZipFile(wheel).namelist() if ".dist-info" not in name}
    wanted = {f"taixue/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    for part in PARTS[1:]:
        wanted |= {f"taixue/{path.relative_to(ROOT)}" for path in (ROOT / part).rglob("*.py")}
    wanted |= {f"taixue/{path.relative_to(ROOT)}" for path in (ROOT / "data_tools/sample").rglob("*.jsonl")}
    wanted |= {f"taixue/{path.relative_to(ROOT)}" for path in (ROOT / "data_tools/sample").rglob("*.yaml")}
    wanted |= {"taixue/py.typed", "taixue/launch/torchrun.sh", "taixue/launch/slurm.sbatch"}
    wanted |= {"taixue/launch/corpus.sbatch", "taixue/data_tools/annotate/connectives.tsv"}
    assert not wanted - packed


def test_an_sdist_can_build_the_extensions(source: Path, tmp_path: Path) -> None:
    build = [sys.executable, "setup.py", "-q", "sdist", "-d", str(tmp_path)]
    subprocess.run(build, cwd=source, check=True, timeout=120, env=ENVIRONMENT, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    native = {path for part in PARTS for path in (ROOT / part).rglob("*") if path.suffix in (".cc", ".h")}
    folders = {str(path.parent.relative_to(ROOT)) for path in native}
    assert folders == {"taixue/base", "data_tools/native", "pretrain/objectives/native"}
    assert not {str(path.relative_to(ROOT)) for path in native} - packed
    assert "data_tools/annotate/connectives.tsv" in packed


def test_presets_are_found_when_installed(wheel: Path, tmp_path: Path) -> None:
    """From another folder, without the checkout on the path."""
    ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import taixue.base.tree as tree, taixue.launch.cli as cli;"
        "print(tree.find('run/t5-tiny-demo')); print(tree.read_tree(tree.find('run/t5-tiny-demo')).values['model']);"
        f"cli.main(['corpus', 'sample', {str(tmp_path / 'text')!r}])"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout
    assert "'family': 't5'" in done.stdout
    assert (tmp_path / "text/facts.jsonl").stat().st_size > 2_000_000


def test_a_kernels_distribution_and_ours_live_together(tmp_path: Path) -> None:
    """transformers probes the name `kernels`: with our root on the path a real package of that name must win."""
    package, info = tmp_path / "kernels", tmp_path / "kernels-0.18.2.dist-info"
    package.mkdir()
    info.mkdir()
    names = (
        "CUDAProperties Device LayerRepository LocalLayerRepository Mode get_kernel register_kernel_mapping"
    )
    (package / "__init__.py").write_text(
        f"MARK = 'theirs'\nfor _name in {names.split()!r}: globals()[_name] = object\n"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kernels\nVersion: 0.18.2\n")
    code = "import kernels; print(kernels.MARK)"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "theirs", done.stderr
