"""The launch scripts, run with stand-ins for the programs of a cluster."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "launch"


@pytest.mark.parametrize(
    "script", [*LAUNCH.glob("*.sh"), LAUNCH / "slurm.sbatch", ROOT / ".ci/run"], ids=lambda p: p.name
)
def test_scripts_parse_and_are_executable(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/usr/bin/env bash\n")


def stand_in(folder: Path, name: str, code: str) -> None:
    path = folder / name
    path.write_text(f"#!/usr/bin/env bash\n{code}\n")
    path.chmod(0o755)


def environment(folder: Path, **values: str) -> dict[str, str]:
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "OUT": str(folder), **values}


def test_torchrun_passes_everything_on(tmp_path: Path) -> None:
    stand_in(tmp_path, "python", 'printf "%s\\n" "$@"')
    command = [LAUNCH / "torchrun.sh", "my run.yaml", "--parallel.tp", "2"]
    done = subprocess.run(
        command, env=environment(tmp_path, NPROC="4"), capture_output=True, text=True, check=True
    )
    words = done.stdout.splitlines()
    assert words[-5:] == ["-m", "taixue.pretrain.train", "my run.yaml", "--parallel.tp", "2"]
    assert "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1,SIGUSR2" in words
    assert words[words.index("--nproc-per-node") + 1] == "4"


def test_mpirun_passes_everything_on(tmp_path: Path) -> None:
    stand_in(tmp_path, "mpirun", 'printf "%s\\n" "$@"')
    command = [LAUNCH / "mpirun.sh", "my run.yaml", "--seed", "2"]
    values = environment(tmp_path, NPROC="3", MPIRUN_ARGS="--map-by ppr:8:node", MASTER_ADDR="node1")
    done = subprocess.run(command, env=values, capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()
    assert words[:2] == ["-n", "3"]
    assert words[-4:] == ["taixue.pretrain.train", "my run.yaml", "--seed", "2"]
    assert {"ppr:8:node", "MASTER_ADDR"} <= set(words)


@pytest.mark.parametrize(("program", "script"), [("python", "torchrun.sh"), ("mpirun", "mpirun.sh")])
def test_ranks_run_the_script_that_comes_first(tmp_path: Path, program: str, script: str) -> None:
    stand_in(tmp_path, program, 'printf "%s\\n" "$@"')
    command = [LAUNCH / script, "my run.py", "run.yaml", "--seed", "2"]
    values = environment(tmp_path, NPROC="2")
    done = subprocess.run(command, env=values, capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()
    assert words[-5:] == ["my run.py", "train", "run.yaml", "--seed", "2"]
    assert "taixue.pretrain.train" not in words


@pytest.mark.parametrize(
    ("number", "requeued", "status"),
    [(signal.SIGUSR1, True, 0), (signal.SIGTERM, False, 1), (None, False, 0)],
)
def test_slurm_forwards_signals(
    tmp_path: Path, number: signal.Signals | None, requeued: bool, status: int
) -> None:
    stand_in(tmp_path, "scontrol", '[ "$1" = show ] && echo node7 || echo "$@" > "$OUT/requeued"')
    ends = "trap 'touch \"$OUT/got-$1\"; exit 1' "
    rank = f"{ends.replace('$1', 'USR1')} USR1; {ends.replace('$1', 'TERM')} TERM"
    rest = 'touch "$OUT/up"; for _ in $(seq 200); do sleep 0.05; done' if number else "exit 0"
    stand_in(tmp_path, "srun", f'{rank}; printf "%s\\n" "$@" > "$OUT/words"; {rest}')
    values = environment(tmp_path, SLURM_JOB_NODELIST="node[7-8]", SLURM_JOB_NUM_NODES="2", SLURM_JOB_ID="42")
    process = subprocess.Popen([LAUNCH / "slurm.sbatch", "run.yaml"], env=values)
    if number:
        deadline = time.monotonic() + 30
        while not (tmp_path / "up").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
    assert process.wait(timeout=30) == status
    assert (tmp_path / "requeued").exists() is requeued
    if number:
        assert (tmp_path / f"got-{number.name.removeprefix('SIG')}").exists()
    words = (tmp_path / "words").read_text().splitlines()
    assert "node7:29500" in words
    assert words[-2:] == ["taixue.pretrain.train", "run.yaml"]
