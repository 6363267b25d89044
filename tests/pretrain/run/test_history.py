"""The history of a run: what each start was and how it ended, whatever ends it and whatever the disk does."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

import taixue
from taixue import UserError
from taixue.pretrain.export import to_hf
from taixue.pretrain.objectives.summary import ObjectiveFacts
from taixue.pretrain.run.history import (
    HISTORY_FILE,
    Code,
    Diverged,
    End,
    History,
    Origin,
    Start,
    append,
    leading_to,
    read_history,
)

from ...dist import run_ranks
from .runs import bert, folder, go, settings
from .test_init_from import write_t5

ROOT = Path(__file__).parents[3]
CONSTANT = {"eval_every": 0, "schedule": {"name": "constant", "warmup_steps": 0}}


def some_start(kind: Any = "seed", step: int = 0, **changes: Any) -> Start:
    facts = ObjectiveFacts(words="spans", raw_length=30, shapes={"input_ids": (24,)})
    values: dict[str, Any] = {
        "origin": Origin(kind=kind, step=step), "config": {"seed": 1}, "changes": {}, "ranks": 1, "layout": {"tp": 1},
        "fingerprint": "f", "tokenizer": "t", "objective": facts,
        "code": Code(), "software": {"torch": "2"},
    }  # fmt: skip
    return Start(**(values | changes))


def card(values: dict[str, Any], out: Path) -> str:
    to_hf(folder(values), out)
    return (out / "README.md").read_text()


def test_two_starts_with_another_rate_layout_and_an_ignored_folder(
    made: dict[str, str], tmp_path: Path
) -> None:
    values = settings(tmp_path, made, **CONSTANT)
    assert set(run_ranks(go, 2, values, "term@3")) == {"done"}
    again = values | {"optimizer": {"lr": 0.01}, "init_from": "never-read", "parallel": {"dp_shard": 1}}
    assert run_ranks(go, 1, again) == ["done"]

    first, second = read_history(folder(values))
    assert first.origin == Origin(kind="seed", seed=1)
    assert (first.ranks, first.layout["dp_shard"], first.changes, first.step) == (2, 2, {}, 0)
    assert first.config["optimizer"]["lr"] == 0.02
    assert first.end is not None
    assert (first.end.step, first.end.why, first.end.detail) == (3, "signal", "SIGTERM")
    assert second.origin == Origin(kind="checkpoint", path="step-00000003", step=3)
    assert (second.ranks, second.layout["dp_shard"]) == (1, 1)
    assert second.changes == {
        "init_from": ("", "never-read"),
        "optimizer.lr": (0.02, 0.01),
        "parallel.dp_shard": (0, 1),
    }
    assert second.end is not None
    assert (second.end.step, second.end.why) == (6, "finished")
    assert second.objective.shapes["input_ids"] == (24,)
    assert second.objective.words == "span corruption (noise 0.15, mean span 3)"
    assert second.fingerprint == first.fingerprint
    assert second.code.version == taixue.__version__
    assert second.software["torch"] == version("torch")

    text = card(values, tmp_path / "hf")
    assert "| started from | random weights, seed 1 |" in text
    assert "never-read" not in text
    assert "| 3 | optimizer.lr | 0.02 | 0.01 |" in text
    assert "| 3 | parallel" not in text, "the layout changes no result"
    assert f"| trained by | Taixue {taixue.__version__}" in text
    middle = folder(values) / "checkpoints" / "step-00000003"
    to_hf(middle, tmp_path / "earlier")
    assert "optimizer.lr" not in (tmp_path / "earlier" / "README.md").read_text()


def test_a_folder_is_named_with_the_digest_of_what_was_read(made: dict[str, str], tmp_path: Path) -> None:
    write_t5(tmp_path / "hf-start")
    values = settings(tmp_path, made, **CONSTANT, steps=1, init_from=str(tmp_path / "hf-start"))
    assert run_ranks(go, 1, values) == ["done"]
    (start,) = read_history(folder(values))
    assert (start.origin.kind, start.origin.path) == ("folder", str(tmp_path / "hf-start"))
    assert f"| started from | hf-start, digest `{start.origin.digest}` |" in card(values, tmp_path / "hf")

    (tmp_path / "hf-start" / "README.md").write_text("not read")
    other = values | {"name": "same"}
    assert run_ranks(go, 1, other) == ["done"]
    assert read_history(folder(other))[0].origin == start.origin
    config = tmp_path / "hf-start" / "config.json"
    config.write_text(config.read_text() + "\n")
    other = values | {"name": "other"}
    assert run_ranks(go, 1, other) == ["done"]
    assert read_history(folder(other))[0].origin.digest != start.origin.digest


def test_divergence_is_told_apart(made: dict[str, str], tmp_path: Path) -> None:
    values = settings(tmp_path, made, **CONSTANT)
    run_ranks(go, 2, values, "nan@3")
    (start,) = read_history(folder(values))
    assert start.end is not None
    assert (start.end.step, start.end.why) == (2, "diverged")
    assert start.end.detail.startswith("step 3 (samples 16 to 23): loss")


def test_a_run_that_was_killed_and_left_half_a_line(made: dict[str, str], tmp_path: Path) -> None:
    values = settings(tmp_path, made, **CONSTANT, steps=5000, checkpoint={"every": 1})
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values | {"parallel": {"dp_shard": 1}}))
    program = [sys.executable, "-m", "taixue.pretrain.train", str(tmp_path / "run.yaml")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(program, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (folder(values) / "checkpoints" / "step-00000002").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with (folder(values) / HISTORY_FILE).open("ab") as file:
        file.write(b'{"event":"end","time":"20')

    (killed,) = read_history(folder(values))
    assert killed.end is None
    steps = max(int(path.name[5:]) for path in (folder(values) / "checkpoints").glob("step-????????")) + 2
    done = subprocess.run([*program, "--steps", str(steps)], env=environment, timeout=120, check=False)
    assert done.returncode == 0
    killed, resumed = read_history(folder(values))
    assert killed.end is None
    assert resumed.changes["steps"] == (5000, steps)
    assert resumed.step >= steps - 3
    assert resumed.end is not None
    assert (resumed.end.step, resumed.end.why) == (steps, "finished")


def test_a_line_cut_anywhere_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / HISTORY_FILE
    for _ in range(2):
        History(tmp_path, some_start).stopped(5, "SIGTERM")
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 4
    for cut in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:cut])
        left = whole[:cut].count(b"\n") + (cut and whole[cut : cut + 1] == b"\n")
        assert len(read_history(tmp_path)) == (left + 1) // 2
        History(tmp_path, some_start).finished(9)
        starts = read_history(tmp_path)
        assert len(starts) == (left + 1) // 2 + 1
        assert starts[-1].end is not None
        assert starts[-1].end.why == "finished"
        assert all(start.end is None or start.end.why == "signal" for start in starts[:-1])
        assert path.read_bytes().startswith(whole[:cut]), "nothing is ever changed"


def test_why_a_start_failed(tmp_path: Path) -> None:
    errors: tuple[BaseException, ...] = (
        UserError("disk full\nmore"), Diverged("step 3"), MemoryError("on rank 0"), KeyboardInterrupt(), ValueError(),
    )  # fmt: skip
    for error in errors:
        History(tmp_path, some_start).failed(3, error)
    ends = [start.end for start in read_history(tmp_path)]
    assert [(end.why, end.detail) for end in ends if end] == [
        ("error", "disk full"), ("diverged", "step 3"), ("error", "MemoryError: on rank 0"), ("signal", "SIGINT"),
        ("error", "ValueError: "),
    ]  # fmt: skip


@pytest.mark.parametrize("trouble", ["full", "folder"])
def test_what_cannot_be_written_is_said_once_and_ends_nothing(
    trouble: str, made: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def spoil(place: Path) -> None:
        place.mkdir(parents=True)
        path = place / HISTORY_FILE
        path.symlink_to("/dev/full") if trouble == "full" else path.mkdir()

    spoil(tmp_path / "alone")
    with caplog.at_level(logging.WARNING, "taixue"):
        History(tmp_path / "alone", some_start).finished(3)
    (said,) = caplog.messages
    assert HISTORY_FILE in said
    assert ("No space left" if trouble == "full" else "Is a directory") in said
    assert read_history(tmp_path / "alone") == []

    values = settings(tmp_path, made, **CONSTANT, steps=2)
    spoil(folder(values))
    assert run_ranks(go, 1, values) == ["done"]
    assert "by the configuration: the run has no record of its first start" in card(values, tmp_path / "hf")


def test_a_disk_that_fills_up_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """A file size limit takes a part of the line, as a full disk may."""
    path = tmp_path / HISTORY_FILE
    History(tmp_path, some_start).finished(3)
    before = path.read_bytes()
    limited = (
        "import resource, signal, sys; from pathlib import Path; from taixue.pretrain.run.history import append\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))\n"
        "append(Path(sys.argv[1]), b'x' * 1000)"
    )
    words = [sys.executable, "-c", limited, str(path), str(len(before) + 10)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "OSError: only a part of 1001 bytes was taken" in done.stderr
    assert path.read_bytes() == before


def test_lines_of_a_later_taixue(tmp_path: Path) -> None:
    path = tmp_path / HISTORY_FILE
    append(path, some_start().model_dump_json().replace('"ranks"', '"moon":"full","ranks"').encode())
    append(path, b'{"event":"paused","step":3}')
    append(path, End(step=4, why="finished").model_dump_json().encode())
    (start,) = read_history(tmp_path)
    assert start.end is not None
    assert start.end.step == 4


@pytest.mark.parametrize(
    ("starts", "step", "kept"),
    [
        ([("seed", 0)], 10, [0]),
        ([("seed", 0), ("checkpoint", 5), ("checkpoint", 8)], 10, [0, 1, 2]),
        ([("seed", 0), ("checkpoint", 5), ("checkpoint", 8)], 8, [0, 1]),
        ([("seed", 0), ("checkpoint", 8), ("checkpoint", 5)], 10, [0, 2]),
        ([("seed", 0), ("checkpoint", 5), ("checkpoint", 5)], 10, [0, 2]),
        ([("seed", 0), ("folder", 0), ("checkpoint", 5)], 10, [1, 2]),
        ([("seed", 0), ("checkpoint", 5), ("seed", 0)], 10, [2]),
        ([("checkpoint", 1000), ("checkpoint", 1500)], 2000, [0, 1]),
        ([], 10, []),
    ],
    ids=str,
)
def test_only_starts_whose_steps_are_in_the_checkpoint(
    starts: list[tuple[str, int]], step: int, kept: list[int]
) -> None:
    made = [some_start(kind, at, ranks=1 + number) for number, (kind, at) in enumerate(starts)]
    assert [start.ranks - 1 for start in leading_to(made, step)] == kept


def test_export_needs_neither_similar_words_nor_the_corpus(annotated: dict[str, str], tmp_path: Path) -> None:
    corpus, words = tmp_path / "corpus", tmp_path / "similar.txt"
    shutil.copytree(annotated["bert-corpus"], corpus)
    words.write_text("城市\t太学 火车\n天空\t月亮\n")
    values = settings(tmp_path, annotated, steps=1, eval_every=0) | bert(
        annotated | {"bert-corpus": str(corpus)}
    )
    values["objective"] = values["objective"] | {"masking": "ngram", "similar_words": str(words)}
    assert run_ranks(go, 1, values) == ["done"]
    words.unlink()
    shutil.rmtree(corpus)
    text = card(values, tmp_path / "hf")
    assert "| objective | masked language model (0.15 of the tokens by ngram), sentence order |" in text
    assert "| samples | 8 of 24 tokens |" in text
    assert "| tokens seen | 168 (raw, before masking) |" in text
    assert "similar_words: similar.txt" in text
    assert str(tmp_path) not in text


def test_the_code_is_named_by_its_revision_in_a_checkout() -> None:
    words = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    known = subprocess.run(words, capture_output=True, text=True, check=False)
    in_checkout = known.returncode == 0 and (ROOT / ".git").exists()
    assert Code.running().revision == (known.stdout.strip() if in_checkout else "")
