"""Local ranks: how many, what they are told, and what their end means."""

import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from taixue import UserError
from taixue.launch.local import world_size
from taixue.pretrain.config.schema import ParallelConfig

STARTER = """
import sys
from pathlib import Path
from taixue.launch.local import start
sys.exit(start(sys.argv[2:], 2, Path(sys.argv[1])))
"""


def start(folder: Path, rank_code: str) -> subprocess.Popen[str]:
    """`local.start` in a process of its own, so that it gets signals like a real command."""
    program = folder / "rank.py"
    program.write_text(f"import os, signal, sys, time\nrank = int(os.environ['RANK'])\n{rank_code}")
    command = [sys.executable, "-c", STARTER, str(folder), str(program)]
    hears = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hears
    )


def test_ranks_run_and_finish(tmp_path: Path) -> None:
    process = start(tmp_path, "open(f'{sys.argv[0]}.{rank}', 'w').write(os.environ['OMP_NUM_THREADS'])")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    for rank in range(2):
        assert int((tmp_path / f"rank.py.{rank}").read_text()) >= 1


def test_a_mistake_keeps_its_status_and_its_words(tmp_path: Path) -> None:
    process = start(
        tmp_path, "if rank == 0:\n    print('the message', file=sys.stderr)\n    sys.exit(2)\ntime.sleep(60)"
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert err.strip() == "the message"


def test_a_killed_rank_is_128_plus_the_signal(tmp_path: Path) -> None:
    process = start(tmp_path, "if rank == 1:\n    os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(60)")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 137
    assert re.fullmatch(r"taixue: rank 1 on \S+ was killed by SIGKILL .*\n", err)


@pytest.mark.parametrize(
    ("number", "saved"),
    [(signal.SIGUSR1, True), (signal.SIGHUP, True), (signal.SIGTERM, False)],
)
def test_a_signal_reaches_every_rank(tmp_path: Path, number: signal.Signals, saved: bool) -> None:
    code = f"""
def leave(number, frame):
    open(f"{{sys.argv[0]}}.{{rank}}", "w").close()
    if rank == 0 and {saved}:
        open("{tmp_path}/PREEMPTED", "w").close()
    sys.exit(0)

for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, leave)
open(f"{{sys.argv[0]}}.{{rank}}.up", "w").close()
time.sleep(60)
"""
    process = start(tmp_path, code)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*.up"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert len(list(tmp_path.glob("rank.py.[01]"))) == 2
    assert (process.returncode == 0) is saved, err
    assert "Traceback" not in err


@pytest.mark.parametrize("answer", ["sys.exit(0)", "time.sleep(60)"], ids=["saved", "stuck"])
def test_ctrl_c_reaches_ranks_as_itself_and_a_second_kills_them(tmp_path: Path, answer: str) -> None:
    code = f"""
def heard(number, frame):
    open(f"{{sys.argv[0]}}.{{rank}}.{{number.__index__()}}", "w").close()
    {answer}

signal.signal(signal.SIGINT, heard)
open(f"{{sys.argv[0]}}.{{rank}}.up", "w").close()
time.sleep(60)
"""
    process = start(tmp_path, code)
    wait_for(tmp_path, "*.up")
    process.send_signal(signal.SIGINT)
    wait_for(tmp_path, f"*.{int(signal.SIGINT)}")
    if "sleep" in answer:
        process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - begun < 30
    assert process.returncode == 130
    assert err == "taixue: stopping as soon as the run is saved; Ctrl-C again stops at once\n"


def wait_for(folder: Path, files: str) -> None:
    """Until both ranks have made theirs."""
    deadline = time.monotonic() + 60
    while len(list(folder.glob(files))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_marker_from_before_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "PREEMPTED").touch()
    process = start(tmp_path, "sys.exit(3)")
    process.communicate(timeout=60)
    assert process.returncode == 3


def test_world_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert world_size(ParallelConfig(tp=2, pp=2, dp_shard=2), "auto") == 8
    assert world_size(ParallelConfig(tp=2, dp_shard=0), "auto") == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    assert world_size(ParallelConfig(tp=2, dp_shard=0), "auto") == 4
    assert world_size(ParallelConfig(dp_shard=8), "cpu") == 8
    with pytest.raises(UserError, match="8 ranks, this machine has 4 GPUs"):
        world_size(ParallelConfig(dp_shard=8), "auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(
        UserError, match=r"compute.device: cuda, but CUDA_VISIBLE_DEVICES is ''; set compute.device to cpu"
    ):
        world_size(ParallelConfig(dp_shard=2), "cuda")
