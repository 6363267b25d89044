"""The acceptance run goes dry through every step; what hangs, fails or has no time left is said and stops nothing."""

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from taixue.launch.cli import main
from taixue.pretrain.bench.gpu.acceptance import bench_gpu
from taixue.pretrain.bench.gpu.isolate import isolated
from taixue.pretrain.bench.gpu.journal import FAILED, LEFT_OUT, PASSED, Bench, End, Figure, Journal
from taixue.pretrain.bench.gpu.markdown import replace_results
from taixue.pretrain.bench.gpu.plan import STEPS, Step
from taixue.pretrain.bench.gpu.trace import idle


def test_dry_run_does_every_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "gpu", "--dry-run", "--out", str(tmp_path / "out"), "--demo", str(tmp_path / "demo")]
    status = main(words)
    lines = list(Journal(tmp_path / "out").read())
    ends = [line for line in lines if isinstance(line, End)]
    assert [(end.step, end.status, end.last) for end in ends] == [(step.name, PASSED, ()) for step in STEPS]
    assert status == 0
    figures = [line for line in lines if isinstance(line, Figure)]
    asserted = {
        step.name: sum(line.ok is not None for line in figures if line.step == step.name) for step in STEPS
    }
    assert min(asserted.values()) >= 1, asserted
    assert asserted["operators"] > 50
    assert asserted["demo"] == 6
    page = (tmp_path / "out/gpu.md").read_text()
    assert "**NO**" not in page
    assert all(f"#### {step.name}\n" in page for step in STEPS)
    assert "| HF eager |" in page
    assert "T5-large, micro 16" in capsys.readouterr().out


def _fails_unless_micro_32(bench: Bench) -> None:
    bench.at_most("number", float("nan") if bench.micro != 32 else 1.0, 2.0)
    bench.figure("went on", 1)


def _dies(bench: Bench) -> None:
    print("last words", flush=True)
    raise MemoryError("no room")


def _fine(bench: Bench) -> None:
    bench.holds("fine", True)


def test_failures_are_said_and_stop_nothing(tmp_path: Path) -> None:
    steps = (
        Step("saved", 1, 60, "", _fails_unless_micro_32, ({"micro": 32}, {"kernels": "reference"})),
        Step("dies", 1, 60, "", _dies),
        Step("fine", 1, 60, "", _fine),
    )
    page = tmp_path / "page.md"
    page.write_text("# GPU\n\nKept.\n\n## Results\n\nOld.\n")
    assert not bench_gpu(tmp_path, minutes=2, dry_run=True, steps=steps, page=page)
    lines = list(Journal(tmp_path).read())
    ends = [line for line in lines if isinstance(line, End)]
    assert [(end.step, end.status, end.switches) for end in ends] == [
        ("saved", FAILED, ""),
        ("saved", PASSED, "micro 32"),
        ("dies", FAILED, ""),
        ("fine", PASSED, ""),
    ]
    assert ends[0].last[-1] == "AssertionError: number: nan, at most 2"
    assert "last words" in ends[2].last
    assert ends[2].last[-1] == "MemoryError: no room"
    assert [line.what for line in lines if isinstance(line, Figure)] == [
        "number",
        "went on",
        "number",
        "went on",
        "fine",
    ]
    text = page.read_text()
    assert text.startswith("# GPU\n\nKept.\n\n## Results\n\n")
    assert "Old." not in text
    assert "MemoryError: no room" in text
    replace_results(page, lines)
    assert page.read_text() == text


def test_what_does_not_fit_into_the_time_is_named(tmp_path: Path) -> None:
    steps = (Step("fine", 1, 60, "", _fine),)
    assert not bench_gpu(tmp_path, minutes=1e-3, dry_run=True, steps=steps)
    (end,) = Journal(tmp_path).read()
    assert isinstance(end, End)
    assert (end.status, end.last) == (LEFT_OUT, ("0 s left, 1 wanted",))


def _hangs(note: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
    Path(note).write_text(str(child.pid))
    time.sleep(600)


def _ended(pid: int) -> bool:
    """Whether a process is gone, or dead and waiting for a parent that does not ask."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_what_hangs_is_killed_with_its_children_and_tells_where(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    begin = time.monotonic()
    status, _, last = isolated(partial(_hangs, str(note)), 8.0, tmp_path / "log")
    assert time.monotonic() - begin < 30
    assert status is None
    assert any("in _hangs" in line for line in last), last
    assert _ended(int(note.read_text()))


def test_idle_is_what_no_kernel_covers() -> None:
    assert idle([(0, 10), (5, 20), (30, 40)]) == pytest.approx(0.25)
    assert idle([(0, 10), (2, 3), (10, 20)]) == 0.0


def test_steps_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "gpu", "--list"]) == 0
    listed = capsys.readouterr().out
    assert all(step.name in listed and step.asserts in listed for step in STEPS)
    assert sum(step.seconds for step in STEPS) <= 8 * 60
    assert main(["bench", "gpu", "--dry-run", "--only", "nothing"]) == 2
    assert "--only: nothing; legal: environment; operators" in capsys.readouterr().err
