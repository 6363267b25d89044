"""kill -9 at random moments of every pass: the finished corpus has the bytes of the undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig

from .test_build_passes import contents, planted, settings

_CODE = "import sys; from tests.data_tools.passes.test_kills import run; run(*sys.argv[1:])"  # imported by workers too
_DEADLINE = 240


def run(config: str, rank: str = "0", world: str = "1") -> None:
    """A build whose publications take a while, so that kills fall before, between and after them."""
    from taixue.data_tools.build.builder import workers

    workers.run_task = slow_task
    build(CorpusBuildConfig.model_validate_json(config), int(rank), int(world))


def slow_task(task):  # type: ignore[no-untyped-def]
    """Also what spawned workers run."""
    from taixue.base import files

    publish = files.publish

    def slowly(temporary: Path, final: Path) -> None:
        time.sleep(0.02)
        publish(temporary, final)

    files.publish = slowly
    try:
        yield from task.run()
    finally:
        files.publish = publish


def start(config: CorpusBuildConfig, rank: int = 0, world: int = 1) -> subprocess.Popen[bytes]:
    """A rank in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", _CODE, config.model_dump_json(), str(rank), str(world)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Live worker processes of a build; multiprocessing's own helper is not one."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [
            pid for pid in map(int, children) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
    except OSError:
        return []


def kill_everything(config: CorpusBuildConfig, kills: int, choose: random.Random) -> int:
    """Kill the whole build `kills` times, then let it end; returns how many kills hit a running build."""
    hits = 0
    for _ in range(kills):
        process = start(config)
        progress = Path(config.output, "work", "progress-0.json")
        progress.unlink(missing_ok=True)
        deadline = time.monotonic() + _DEADLINE
        while not progress.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(choose.random() * 1.5)
        hits += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if Path(config.output, "corpus.json").exists():
            break
    assert start(config).wait(timeout=_DEADLINE) == 0
    return hits


def kill_workers(config: CorpusBuildConfig, kills: int, choose: random.Random) -> int:
    """Kill random workers of a build; it is started again only when one task had lost three of them."""
    done = 0
    deadline = time.monotonic() + _DEADLINE
    process = start(config)
    while time.monotonic() < deadline:
        if process.poll() is not None:
            if process.returncode == 0:
                return done
            process = start(config)
        found = workers_of(process)
        if found and done < kills:
            try:
                os.kill(choose.choice(found), signal.SIGKILL)
                done += 1
            except ProcessLookupError:
                pass
        time.sleep(choose.random() * 0.6 + 0.2)
    os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError(f"the build hangs after {done} kills")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    planted(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(texts: Path, t5_folder: Path) -> dict[str, bytes]:
    return contents(build(settings(texts, t5_folder, "undisturbed")))


def test_killing_the_whole_build(texts: Path, t5_folder: Path, undisturbed: dict[str, bytes]) -> None:
    config = settings(texts, t5_folder, "whole", workers=1)
    assert kill_everything(config, 5, random.Random(1)) >= 2
    assert contents(texts / "whole") == undisturbed


def test_killing_workers(texts: Path, t5_folder: Path, undisturbed: dict[str, bytes]) -> None:
    config = settings(texts, t5_folder, "workers", workers=2)
    assert kill_workers(config, 5, random.Random(2)) >= 2
    assert contents(texts / "workers") == undisturbed


def test_killing_a_rank(texts: Path, t5_folder: Path, undisturbed: dict[str, bytes]) -> None:
    """The others wait; the killed rank is started again, and all end."""
    config = settings(texts, t5_folder, "rank", workers=1)
    ranks = [start(config, rank, 3) for rank in range(3)]
    progress = Path(config.output, "work", "progress-1.json")
    deadline = time.monotonic() + _DEADLINE
    while not progress.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    os.killpg(ranks[1].pid, signal.SIGKILL)
    ranks[1].wait()
    ranks[1] = start(config, 1, 3)
    try:
        assert [rank.wait(timeout=_DEADLINE) for rank in ranks] == [0, 0, 0]
    finally:
        for rank in ranks:
            rank.kill()
    assert contents(texts / "rank") == undisturbed
