"""Sinks: lines survive resumption exactly, the console says what matters, optional packages are optional."""

import io
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from rich.console import Console as RichConsole

from taixue import UserError
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.config.validate import validate
from taixue.pretrain.observe.config import Record, Sink, SinkStart
from taixue.pretrain.observe.console import Console, line
from taixue.pretrain.observe.eta import duration
from taixue.pretrain.observe.sinks import Guarded, JsonLines, TensorBoard, WandB, open_sinks

RECORD = {
    "step": 20,
    "loss": 3.25,
    "loss/span": 3.25,
    "lr": 0.01,
    "grad_norm": 0.5,
    "tokens_per_second": 12345.6,
}


def start(folder: Path, step: int = 0) -> SinkStart:
    return SinkStart("run", folder, step, 100, {})


@contextmanager
def told() -> Iterator[list[str]]:
    """What Taixue logs meanwhile."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("taixue")
    log.addHandler(handler)
    yield said
    log.removeHandler(handler)


def steps(path: Path) -> list[int]:
    return [orjson.loads(row)["step"] for row in path.read_bytes().splitlines()]


def test_resuming_drops_later_and_torn_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = JsonLines(path, 0)
    for step in (10, 20, 30):
        first.write({"step": step})
    first.close()
    with path.open("ab") as file:
        file.write(b'{"step": 2')
    again = JsonLines(path, 20)
    assert steps(path) == [10, 20]
    again.write({"step": 30, "loss": 1.5})
    again.close()
    assert steps(path) == [10, 20, 30]
    assert not list(tmp_path.glob("*.tmp"))
    assert steps(tmp_path / "metrics-abandoned.jsonl") == [30]
    JsonLines(path, 10).close()
    assert steps(tmp_path / "metrics-abandoned.jsonl") == [30, 20, 30]


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "metrics.jsonl", 0)
    sink.write(RECORD)
    assert orjson.loads((tmp_path / "metrics.jsonl").read_bytes()) == RECORD
    sink.close()


def test_plain_lines_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    console = Console("run", 100, 0, RichConsole(file=out))
    console.write(RECORD)
    console.close()
    said = "step 20/100  loss 3.2500  norm 0.500  lr 0.01  12,346 tokens/s"
    assert re.fullmatch(rf"\d\d:\d\d:\d\d {re.escape(said)}\n", out.getvalue())


def test_lines_tell_the_time_of_day_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    out = io.StringIO()
    console = Console("run", 1000, 0, RichConsole(file=out, width=200))
    noon = 1_795_838_400.0  # 12:00 in Shanghai
    for step, seconds in ((10, 0.0), (20, 30.0), (20, 50.0), (30, 80.0)):
        extra = {"eval/web/span": 2.0, "evaluation_seconds": 20.0} if seconds == 50.0 else {"loss": 3.0}
        console.write({"step": step, "time": noon + seconds} | extra)
    console.write({"step": 30, "time": noon + 81, "save_seconds": 0.25})
    monkeypatch.undo()
    time.tzset()
    assert out.getvalue().splitlines() == [
        "12:00:00 step 10/1000  loss 3.0000",
        "12:00:30 step 20/1000  loss 3.0000  49 min left",
        "12:00:50 step 20/1000  eval/web/span 2.0000  in 20.0 s",
        "12:01:20 step 30/1000  loss 3.0000  1 h 04 min left",  # the evaluation is in it
        "12:01:21 step 30/1000  saved in 0.2 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (61, "1 min 01 s"),
        (600, "10 min"),
        (3660, "1 h 01 min"),
        (90_000, "1 d 01 h"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_bar_on_a_terminal() -> None:
    out = io.StringIO()
    console = Console("run", 100, 0, RichConsole(file=out, force_terminal=True, width=100))
    console.write(RECORD)
    console.close()
    assert "20/100" in out.getvalue()


def test_lines_for_evaluation_several_losses_and_overflow() -> None:
    assert line({"step": 5, "eval/web/span": 2.0}, 9) == "step 5/9  eval/web/span 2.0000"
    mean = line(
        {"step": 5, "eval/web/span": 2.0, "eval/news/span": 3.0, "eval_loss": 2.5, "eval_samples": 8}, 9
    )
    assert mean == "step 5/9  eval/web/span 2.0000  eval/news/span 3.0000  eval_loss 2.5000"
    assert "eval_loss" not in line({"step": 5, "eval/web/span": 2.0, "eval_loss": 2.0}, 9), "it says the same"
    both = line({"step": 5, "loss": 3.0, "loss/mlm": 2.0, "loss/sop": 1.0}, 9)
    assert both == "step 5/9  loss 3.0000  loss/mlm 2.0000  loss/sop 1.0000"
    assert "skipped (overflow), loss scale 1024" in line({"step": 5, "skipped": 1, "loss_scale": 1024.0}, 9)


def test_tensorboard_gets_the_scalars(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sink = TensorBoard(tmp_path, 0)
    sink.write(RECORD)
    sink.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(20, 3.25)]


@pytest.mark.parametrize(
    ("package", "settings"), [("wandb", {"wandb": "offline"}), ("tensorboard", {"tensorboard": True})]
)
def test_a_missing_package_is_named_before_anything_starts(
    package: str, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Searched for where a mere folder has its name."""
    (tmp_path / package).mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, package, raising=False)
    run = RunConfig.model_validate({"logging": settings})
    with pytest.raises(UserError, match=rf"logging.{package}.*pip install {package}"):
        validate(run, 1)


def test_a_library_that_exits_ends_no_run() -> None:
    def leaves() -> Sink:
        raise SystemExit(1)

    with told() as said:
        Guarded("wandb", leaves)
    assert said == ["wandb cannot be opened (SystemExit: 1); training goes on without it"]


READER_GONE = """
import logging, os, sys
from taixue.pretrain.observe.console import Console, show_messages
show_messages(True)
console = Console("run", 100, 0)
for step in range(500):
    console.write({"step": step, "loss": 1.0})
    logging.getLogger("taixue").warning("a message")
console.close()
open(sys.argv[1], "w").close()
"""


@pytest.mark.parametrize("kind", ["pipe", "full"])
def test_a_console_that_went_away_ends_no_run(kind: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    target = writing if kind == "pipe" else os.open("/dev/full", os.O_WRONLY)
    command = [sys.executable, "-c", READER_GONE, str(tmp_path / "end")]
    done = subprocess.run(command, stderr=target, timeout=60)
    assert (tmp_path / "end").exists()
    assert done.returncode in (0, 120)  # 120: Python could not flush at its own end


def test_wandb_keeps_a_random_id_per_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    wandb = SimpleNamespace(init=lambda **options: ids.append(options["id"]))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    run = RunConfig.model_validate({"logging": {"wandb": "offline"}})
    for name in ("one", "one", "other"):
        (tmp_path / name).mkdir(exist_ok=True)
        WandB(run.logging, start(tmp_path / name))
    assert ids[0] == ids[1] != ids[2]
    assert re.fullmatch("[0-9a-f]{16}", ids[0])


def test_only_the_main_rank_writes(tmp_path: Path) -> None:
    assert open_sinks(RunConfig().logging, start(tmp_path), is_main=False) == []
    assert not list(tmp_path.iterdir())


class Broken:
    """Fails at every other record, and at the end."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def write(self, record: Record) -> None:
        if record["step"] % 2:
            raise OSError("no space")
        self.seen.append(record["step"])

    def close(self) -> None:
        raise OSError("still none")


def test_a_failing_sink_is_told_once_and_counted() -> None:
    broken = Broken()
    with told() as said:
        sink = Guarded("mine", lambda: broken)
        for step in range(1, 8):
            sink.write({"step": step})
        sink.close()
    assert broken.seen == [2, 4, 6]
    assert said == [
        "mine missed the record of step 1 (OSError: no space); training goes on, further ones are counted",
        "mine cannot be closed (OSError: still none)",
        "mine missed 4 of 7 records",
    ]


def test_a_sink_that_cannot_be_opened_misses_all() -> None:
    def fails() -> Sink:
        raise ConnectionError("nobody there")

    with told() as said:
        sink = Guarded("wandb", fails)
        sink.write({"step": 1})
        sink.close()
    assert said == [
        "wandb cannot be opened (ConnectionError: nobody there); training goes on without it",
        "wandb missed 1 of 1 records",
    ]


def test_a_full_disk_leaves_readable_metrics(tmp_path: Path) -> None:
    """A limit on the size of files cuts one line in two and refuses the next; later ones are whole."""
    path = tmp_path / "cut.jsonl"
    line = orjson.dumps({"step": 1}) + b"\n"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sink = Guarded("cut.jsonl", lambda: JsonLines(path, 0))
    sink.write({"step": 1})
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(line) + 4, before[1]))
    try:
        sink.write({"step": 2})
        sink.write({"step": 3})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    sink.write({"step": 4})
    assert [row for row in path.read_bytes().splitlines() if row.endswith(b"}")] == [
        b'{"step":1}',
        b'{"step":4}',
    ]
