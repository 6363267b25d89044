"""An interrupted run cannot be told apart from one that was never disturbed."""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ...dist import run_ranks
from .runs import bert, count_questions, folder, go, go_interrupted, metrics, same_bits, settings, tensors

LAYOUTS: dict[str, dict[str, Any]] = {
    "dp2": {},
    "tp2": {
        "parallel": {"tp": 2},
        "batch": {"global_size": 9, "micro_size": 1},
    },  # ranks may stop before the last
    "pp2": {"parallel": {"pp": 2}},
}


Undisturbed = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def undisturbed(made: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Gives the settings of a run on two ranks that nothing disturbed, made once for all who change the same."""
    found: dict[str, dict[str, Any]] = {}

    def run(**changes: Any) -> dict[str, Any]:
        if repr(changes) not in found:
            values = settings(tmp_path_factory.mktemp("clean"), made, **changes)
            run_to_end(values, 2)
            found[repr(changes)] = values
        return found[repr(changes)]

    return run


def run_to_end(values: dict[str, Any], world: int, disturbance: str = "") -> None:
    assert set(run_ranks(go, world, values, disturbance)) == {"done"}


@pytest.mark.parametrize(
    ("layout", "disturbance"),
    [
        ("dp2", "term@3"),
        ("dp2", "usr1@4"),
        ("tp2", "mid@4"),
        ("pp2", "term@3"),
    ],
)
def test_a_signal_saves_marks_and_resumes_bit_for_bit(
    layout: str, disturbance: str, made: dict[str, str], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    clean = undisturbed(**LAYOUTS[layout])
    stopped = settings(tmp_path, made, **LAYOUTS[layout])
    run_to_end(stopped, 2, disturbance)
    done = 4 if disturbance == "usr1@4" else 3
    number = "SIGUSR1" if disturbance == "usr1@4" else "SIGTERM"
    marker = json.loads((folder(stopped) / "PREEMPTED").read_text())
    assert marker == {"step": done, "signal": number}
    assert (folder(stopped) / "checkpoints" / f"step-{done:08d}").is_dir()
    run_to_end(stopped, 2)
    assert not (folder(stopped) / "PREEMPTED").exists()
    assert same_bits(tensors(stopped, 6), tensors(clean, 6))
    assert metrics(stopped) == metrics(clean)


def test_bert_and_adafactor_resume_bit_for_bit(made: dict[str, str], tmp_path: Path) -> None:
    changes = bert(made) | {"optimizer": {"name": "adafactor", "lr": 0.01, "weight_decay": 0.1}}
    clean = settings(tmp_path / "clean", made, **changes)
    stopped = settings(tmp_path / "stopped", made, **changes)
    run_to_end(clean, 2)
    run_to_end(stopped, 2, "term@3")
    run_to_end(stopped, 2)
    assert same_bits(tensors(stopped, 6), tensors(clean, 6))
    assert metrics(stopped) == metrics(clean)


def test_saving_and_dry_running_change_nothing_that_is_learned(
    made: dict[str, str], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    often = settings(tmp_path / "often", made, checkpoint={"every": 1, "asynchronous": True}, dry_run=True)
    seldom = settings(tmp_path / "seldom", made, checkpoint={"every": 6, "asynchronous": False}, eval_every=0)
    run_to_end(often, 2)
    run_to_end(seldom, 2)
    assert same_bits(tensors(often, 6), tensors(undisturbed(), 6))
    assert same_bits(tensors(seldom, 6), tensors(undisturbed(), 6))


def test_a_damaged_newest_checkpoint_costs_only_its_steps(
    made: dict[str, str], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    clean, damaged = undisturbed(), settings(tmp_path, made)
    run_to_end(damaged, 2, "term@4")
    path = folder(damaged) / "checkpoints" / "step-00000004" / "rank-00001.safetensors"
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 4
    path.write_bytes(stored)
    run_to_end(damaged, 2)
    assert (folder(damaged) / "checkpoints" / "step-00000004.corrupt").is_dir()
    assert same_bits(tensors(damaged, 6), tensors(clean, 6))
    assert metrics(damaged) == metrics(clean)


def test_a_finished_run_started_again_changes_nothing(made: dict[str, str], tmp_path: Path) -> None:
    values = settings(tmp_path, made)
    run_to_end(values, 2)

    def contents() -> dict[str, tuple[int, bytes]]:
        files = [path for path in folder(values).rglob("*") if path.is_file()]
        files = [path for path in files if path.name != "LOCK" and path.suffix != ".log"]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = contents()
    run_to_end(values, 2)
    run_to_end(values, 1)
    assert contents() == before


@pytest.mark.parametrize("batch", [1, 3])
def test_an_evaluation_cut_short_is_made_up_for_once(
    batch: int, made: dict[str, str], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    clean, stopped = undisturbed(), settings(tmp_path, made)
    run_to_end(stopped, 2, f"eval@{batch}")  # two batches each, after steps 3 and 6
    assert json.loads((folder(stopped) / "PREEMPTED").read_text())["step"] == (3 if batch == 1 else 6)
    for _ in range(2):
        run_to_end(stopped, 2)
        assert not (folder(stopped) / "PREEMPTED").exists()
        assert metrics(stopped) == metrics(clean)
    assert same_bits(tensors(stopped, 6), tensors(clean, 6))


def test_a_save_under_way_outlives_an_interruption(made: dict[str, str], tmp_path: Path) -> None:
    values = settings(tmp_path, made, eval_every=0)
    assert run_ranks(go_interrupted, 1, values) == [["step-00000002", "step-00000004"]]


def test_ranks_are_not_asked_before_every_micro_batch(made: dict[str, str], tmp_path: Path) -> None:
    values = settings(tmp_path, made, steps=1, eval_every=0, schedule={"warmup_steps": 0})
    values |= {"batch": {"global_size": 17, "micro_size": 1}}
    assert run_ranks(count_questions, 1, values) == [2]  # before micro-batches 8 and 16


def test_a_longer_run_goes_on_where_the_shorter_ended(made: dict[str, str], tmp_path: Path) -> None:
    constant = {"schedule": {"name": "constant", "warmup_steps": 2}, "eval_every": 0}
    long = settings(tmp_path / "long", made, **constant)
    short = settings(tmp_path / "short", made, **constant, steps=3)
    run_to_end(long, 1)
    run_to_end(short, 1)
    run_to_end(short | {"steps": 6}, 1)
    assert same_bits(tensors(short, 6), tensors(long, 6))


def test_kill_9_at_random_moments_leaves_the_same_weights(made: dict[str, str], tmp_path: Path) -> None:
    clean, killed = (
        settings(tmp_path / "clean", made, steps=12),
        settings(tmp_path / "killed", made, steps=12),
    )
    run_to_end(clean, 2)
    random.seed(7)
    deaths = 0
    while deaths < 3:
        victim = threading.Thread(
            target=_kill_one, args=(tmp_path, random.random() * 1.5, random.randrange(2))
        )
        victim.start()
        try:
            run_ranks(_go_with_pid, 2, killed, str(tmp_path), deadline=60)
        except (RuntimeError, ConnectionError):
            deaths += 1
        else:
            break
        finally:
            victim.join()
            for path in tmp_path.glob("pid-*"):
                path.unlink()
    run_to_end(killed, 2)
    assert deaths
    assert same_bits(tensors(killed, 12), tensors(clean, 12))
    assert metrics(killed) == metrics(clean)


def _go_with_pid(values: dict[str, Any], where: str) -> str:
    import torch.distributed as dist

    (Path(where) / f"pid-{dist.get_rank()}").write_text(str(os.getpid()))
    return go(values)


def _kill_one(where: Path, delay: float, rank: int) -> None:
    path = where / f"pid-{rank}"
    while not (path.exists() and path.read_text()):
        time.sleep(0.01)
    time.sleep(delay)
    with suppress(FileNotFoundError, ProcessLookupError):  # the run may have been faster
        os.kill(int(path.read_text()), signal.SIGKILL)
