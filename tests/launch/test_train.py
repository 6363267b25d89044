"""`taixue train` for real: the sample text, two ranks, by every way of starting them that this machine has."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TAIXUE = [sys.executable, "-m", "taixue.launch.cli"]
SMALL = [
    "--model.num_encoder_layers",
    "1",
    "--model.num_decoder_layers",
    "1",
    "--objective.input_length",
    "32",
]
SHORT = ["--steps", "4", "--schedule.warmup_steps", "1", "--eval_every", "0", "--logging.every", "1"]
BATCH = ["--batch.global_size", "4", "--batch.micro_size", "2"]


@pytest.fixture(scope="module")
def home(demo: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the demo's tokenizer and corpus."""
    folder = tmp_path_factory.mktemp("home")
    demo(folder)
    return folder


def environment(**values: str) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
        "NO_COLOR": "1",
        **values,
    }


def words(name: str) -> list[str]:
    return ["run/t5-tiny-demo", "--name", name, *SMALL, *SHORT, *BATCH]


def run(command: list[str], home: Path, **values: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=home, env=environment(**values), capture_output=True, text=True, timeout=240
    )


def losses(home: Path, name: str) -> list[float]:
    lines = (home / "runs/demo" / name / "metrics.jsonl").read_text().splitlines()
    return [row["loss"] for row in map(json.loads, lines) if "loss" in row]


@pytest.fixture(scope="module")
def reference(home: Path) -> list[float]:
    done = run([*TAIXUE, "train", *words("reference")], home)
    assert done.returncode == 0, done.stderr
    return losses(home, "reference")


def test_two_local_ranks(reference: list[float]) -> None:
    assert len(reference) == 4
    assert reference[-1] < reference[0]


def test_torchrun(home: Path, reference: list[float]) -> None:
    done = run([str(ROOT / "launch/torchrun.sh"), *words("torchrun")], home, NPROC="2")
    assert done.returncode == 0, done.stderr
    assert losses(home, "torchrun") == reference


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun")
def test_mpirun(home: Path, reference: list[float]) -> None:
    done = run(
        [str(ROOT / "launch/mpirun.sh"), *words("mpi")], home, NPROC="2", MPIRUN_ARGS="--oversubscribe"
    )
    assert done.returncode == 0, done.stderr
    assert losses(home, "mpi") == reference


def test_ctrl_c_saves_and_the_next_start_resumes(home: Path) -> None:
    """On two ranks; it resumes on one."""
    command = [*TAIXUE, "train", *words("stopped"), "--steps", "5000"]
    process = subprocess.Popen(command, cwd=home, env=environment(), stderr=subprocess.PIPE, text=True)
    folder = home / "runs/demo/stopped"
    deadline = time.monotonic() + 120
    while not (folder / "metrics.jsonl").exists() or len(losses(home, "stopped")) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    marker = json.loads((folder / "PREEMPTED").read_text())
    step = marker["step"]
    assert marker["signal"] == "SIGINT"

    changed = run([*TAIXUE, "train", *words("stopped"), "--batch.global_size", "8"], home)
    assert changed.returncode == 2
    assert "batch.global_size = 4, the configuration says 8" in changed.stderr
    assert (folder / "PREEMPTED").exists()  # no rank was started

    alone = ["--parallel.dp_replicate", "1", "--steps", str(step + 2)]
    done = run([*TAIXUE, "train", *words("stopped"), *alone], home)
    assert done.returncode == 0, done.stderr
    assert f"at step {step} of {step + 2}" in re.sub(r"\s+", " ", done.stderr)
    assert not (folder / "PREEMPTED").exists()


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["--parallel.tp", "3"], "model.num_heads 4 is not divisible by tp 3"),
        (["--parallel.pp", "4"], "2 layers are fewer than the 4 stages"),
        (["--model.vocab_size", "1024"], "1024 rows are too few for the "),
        (["--data.tokenizer", "nowhere"], "nowhere"),
        (["--data.sources.0.corpus", "nowhere"], "nowhere"),
        (["--compute.device", "cuda"], "set compute.device to cpu"),
        (["--runs", "/proc/nowhere"], "the run folder /proc/nowhere/bad cannot be written"),
    ],
)
def test_mistakes_stop_before_ranks_start(home: Path, overrides: list[str], says: str) -> None:
    done = run([*TAIXUE, "train", *words("bad"), *overrides], home)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 4
    assert not (home / "runs/demo/bad").exists()


def test_a_killed_rank_is_said_in_a_few_lines_with_what_was_saved(home: Path) -> None:
    command = [*TAIXUE, "train", *words("killed"), "--steps", "5000", "--checkpoint.every", "2"]
    process = subprocess.Popen(command, cwd=home, env=environment(), stderr=subprocess.PIPE, text=True)
    folder = home / "runs/demo/killed"
    deadline = time.monotonic() + 120
    while not list(folder.glob("checkpoints/step-????????")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(rank_process(process.pid, 1), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 137
    said = [line for line in err.splitlines() if not re.match(r"\d\d:\d\d:\d\d |step ", line)]
    assert len(said) <= 6
    assert re.match(r"taixue: rank 1 on \S+ was killed by SIGKILL .* after step \d+ of 5000$", said[0])
    assert re.match(r"taixue: saved: step \d+, in runs/demo/killed/checkpoints/step-\d{8}; the same", said[1])
    assert "gloo" in (folder / "logs/rank-0.error").read_text()


def rank_process(command: int, rank: int) -> int:
    """The process of a rank of a command of this test."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            told = (place / "environ").read_bytes().split(b"\0")
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            grandparent = int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if f"RANK={rank}".encode() in told and grandparent == command:
            return int(place.name)
    raise AssertionError(f"no rank {rank} of {command}")


def test_the_wrong_number_of_ranks(home: Path) -> None:
    given = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}  # by torchrun
    given |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29400"}
    done = run([*TAIXUE, "train", *words("one")], home, **given)
    assert (
        "pp 1 x dp_replicate 2 x dp_shard 1 x tp 1 = 2 ranks, but 1 are started; start 2 ranks" in done.stderr
    )


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_damaged_shards_stop_before_ranks_start(home: Path, damage: str, tmp_path: Path) -> None:
    corpus = shutil.copytree(home / "runs/demo/corpus", tmp_path / "corpus")
    shard = next(corpus.glob("*train*.bin"))
    shard.unlink() if damage == "gone" else os.truncate(shard, shard.stat().st_size - 2)
    done = run([*TAIXUE, "train", *words("bad"), "--data.sources.0.corpus", str(corpus)], home)
    assert done.returncode == 2
    assert shard.name in done.stderr
    assert "Traceback" not in done.stderr
