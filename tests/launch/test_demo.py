"""The end of the demo: what it reads from metrics, draws and counts; its script, outside the checkout."""

import json
import os
import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from taixue.launch.demo import Blank, curve, read_losses, score

ROOT = Path(__file__).parents[2]


@given(st.lists(st.floats(0.01, 20), min_size=1, max_size=100), st.integers(1, 20))
def test_curve_shows_first_and_last(losses: list[float], lines: int) -> None:
    rows = curve(list(enumerate(losses)), lines).splitlines()
    assert len(rows) == min(lines, len(losses))
    assert rows[0].split()[1] == "0"
    if lines > 1:
        assert rows[-1].split()[1] == str(len(losses) - 1)


def test_training_and_held_out_losses_are_told_apart(tmp_path: Path) -> None:
    rows = [
        {"step": 1, "loss": 8.5, "lr": 0.1},
        {"step": 1, "eval/sample/span": 8.25},
        {"step": 2, "loss": None},
        {"step": 2, "loss": 8.0},
        {"step": 2, "eval/sample/span": None},
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert read_losses(tmp_path / "metrics.jsonl", "loss") == [(1, 8.5), (2, 8.0)]
    assert read_losses(tmp_path / "metrics.jsonl", "eval/") == [(1, 8.25)]


def test_score_counts_what_is_exactly_right() -> None:
    blanks = [
        Blank("wording", "capital", "法国的首都是<extra_id_0>。", "巴黎", "北京"),
        Blank("wording", "capital", "中国的首都是<extra_id_0>。", "北京", "北京"),
        Blank("wording", "seat", "湖南的省会是<extra_id_0>。", "长沙", "石家庄"),
        Blank("wording", "month_days", "四月的天数是<extra_id_0>。", "三十天", "三十一天"),
    ]
    said = score(blanks, ["巴黎", "北京市", "长沙", "三十"])
    assert said == "2 of 4 exactly right; the most frequent answer of each relation: 1"


def test_the_script_works_in_any_folder(tmp_path: Path) -> None:
    """It takes nothing from the working folder and writes to nothing but runs/demo below it."""
    for name in ("taixue", "python"):
        (tmp_path / name).write_text(f'#!/usr/bin/env bash\necho "{name} $*" >> "$LOG"\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / "work/runs/demo").mkdir(parents=True)
    (tmp_path / "work/runs/demo/old").touch()
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(tmp_path / "log")}
    subprocess.run([ROOT / "launch/demo.sh"], cwd=tmp_path / "work", env=environment, check=True, timeout=30)
    said = (tmp_path / "log").read_text().splitlines()
    assert [line.split()[1] for line in said] == [
        "corpus",
        "tokenizer",
        "tokenizer",
        "corpus",
        "train",
        "export",
        "-m",
    ]
    assert not (tmp_path / "work/runs/demo/old").exists()
