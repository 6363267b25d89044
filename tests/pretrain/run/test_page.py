"""A real run on two ranks makes its page, its logs and its fills; none of them can end it."""

import json
from pathlib import Path
from typing import Any

import pytest

from taixue.pretrain.observe import METRICS
from taixue.pretrain.report import live
from taixue.pretrain.report.live import RunPage
from taixue.pretrain.report.run_files import read_run

from ...dist import run_ranks
from .runs import bert, folder, go, settings

CONSTANT = {"schedule": {"name": "constant", "warmup_steps": 0}}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_on_two_ranks_that_is_resumed(made: dict[str, str], tmp_path: Path) -> None:
    values = settings(tmp_path, made, **CONSTANT, checkpoint={"every": 4})
    assert run_ranks(go, 2, values, "nan@6") != ["done", "done"]  # step 5 is reported, and lost
    html = (folder(values) / "index.html").read_text()
    assert "diverged: step 6" in html
    assert run_ranks(go, 2, values | {"optimizer": {"lr": 0.01}}) == ["done", "done"]

    run = read_run(folder(values))
    assert [row.step for row in run.training] == [1, 2, 3, 4, 5, 6]
    assert [[row.step for row in part] for part in run.abandoned] == [[5]]
    assert [row.step for row in run.held_out] == [3, 6]
    assert [row.step for row in run.saves] == [3, 4, 6]  # 3: the best so far
    times = [record["time"] for record in lines(folder(values) / "metrics.jsonl")]
    assert times == sorted(times)
    names = {name for record in lines(folder(values) / "metrics.jsonl") for name in record}
    assert {name for name in names if not name.startswith(("eval/", "loss/"))} <= METRICS.keys()
    assert {"ranks_wait", "device_wait", "report_wait", "evaluation_seconds", "save_seconds"} <= names

    html = (folder(values) / "index.html").read_text()
    for said in (
        "6 / 6",
        "finished",
        "eval/sample/span",
        "optimizer.lr",
        "start 1 diverged",
        "2 (dp_shard 2)",
        "样本",
    ):
        assert said in html, said
    for rank in range(2):
        log = (folder(values) / "logs" / f"rank-{rank}.log").read_text()
        assert log.count(f"start: rank {rank} of 2 on ") == 2
        assert "ERROR step 6 (samples" in log
        assert "INFO run run is finished: 6 steps" in log
        assert log.endswith("INFO end\n")


@pytest.mark.parametrize(
    ("kind", "layout"),
    [("t5", {"pp": 2, "pipeline_schedule": "1f1b"}), ("bert", {"tp": 2})],
    ids=["t5", "bert"],
)
def test_fills_are_the_same_in_every_layout(
    kind: str, layout: dict[str, Any], made: dict[str, str], tmp_path: Path
) -> None:
    changes = CONSTANT | {"compute": {"device": "cpu", "precision": "fp32", "float64": True}, "steps": 3}
    changes |= bert(made) if kind == "bert" else {}
    alone = settings(tmp_path / "alone", made, **changes)
    spread = settings(tmp_path / "spread", made, **(changes | {"parallel": layout}))
    assert run_ranks(go, 1, alone) == ["done"]
    assert run_ranks(go, 2, spread) == ["done", "done"]
    found = [lines(folder(values) / "fills.jsonl") for values in (alone, spread)]
    assert {(line["step"], line["source"]) for line in found[0]} == {(3, "sample")}
    one, other = ([line["parts"] for line in rows] for rows in found)
    assert len(one) == 2, "a micro-batch"
    assert len(other) == 2 * layout.get("pp", 1), "a pipeline looks at one for each stage"
    assert other[:2] == one
    blanks = [part for parts in other for part in parts if isinstance(part, dict)]
    assert all(len(blank["target"]) == len(blank["fill"]) > 0 for blank in blanks)
    assert all(
        "<extra_id" not in piece and "[MASK]" not in piece for blank in blanks for piece in blank["target"]
    )


def test_no_page_no_fills_and_no_log_end_no_run(made: dict[str, str], tmp_path: Path) -> None:
    values = settings(tmp_path, made, **CONSTANT, steps=3)
    for name in ("index.html", "fills.jsonl", "logs/rank-0.log"):
        (folder(values) / name).mkdir(parents=True)
    assert run_ranks(go, 1, values) == ["done"]
    assert [record["step"] for record in lines(folder(values) / "metrics.jsonl") if "loss" in record] == [
        1,
        2,
        3,
    ]
    assert read_run(folder(values)).starts[-1].end is not None


def test_pages_take_a_hundredth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, made_at = [100.0], []

    def write(folder: Path) -> None:
        made_at.append(clock[0])
        clock[0] += 2.0

    monkeypatch.setattr(live, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(live, "write_page", write)
    sink = RunPage(Path("nowhere"))
    while clock[0] < 1000:
        sink.write({"step": 1})
        clock[0] += 1.0
    assert made_at == [100.0, 302.0, 504.0, 706.0, 908.0]
