"""Several runs on one page, with differences from the first."""

from pathlib import Path

import pytest

from taixue.launch.cli import main
from taixue.pretrain.report import report
from taixue.pretrain.report.comparison_page import comparison, difference, labels
from taixue.pretrain.report.run_files import read_run

from .made_runs import evaluation, made, reports, start


def test_a_difference_is_taken_where_both_are() -> None:
    base = [(10.0, 4.0), (20.0, 2.0), (40.0, 1.0), (50.0, float("nan"))]
    found = difference([(5, 1.0), (10, 5.0), (15, 3.5), (30, 1.5), (40, 0.5), (60, 1.0)], base)
    assert found == [(10, 1.0), (15, 0.5), (30, 0.0), (40, -0.5)]
    assert difference([(1, 1.0)], []) == []


def two(tmp_path: Path, tokens: int) -> list[Path]:
    other = [record | {"tokens": record["step"] * tokens} for record in reports(10, 200, 0)]
    first = [*reports(10, 200, 0), evaluation(100, 100, web=3.0), evaluation(200, 200, web=2.5)]
    second = [*other, evaluation(100, 100, web=2.75), evaluation(200, 200, web=2.25, wiki=2.0)]
    changed = {"name": "made", "steps": 1000, "optimizer": {"lr": 0.01}}
    return [
        made(tmp_path / "a" / "made", first, [start(0, 0, (200, "finished", "", 210))]),
        made(tmp_path / "b" / "made", second, [start(0, 0, (200, "finished", "", 210), config=changed)]),
    ]


def test_two_runs_over_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = two(tmp_path, 100)
    assert main(["report", *map(str, folders)]) == 0
    written = [folders[0] / "index.html", folders[1] / "index.html", tmp_path / "a" / "comparison.html"]
    assert capsys.readouterr().out.split() == [str(path) for path in written]
    html = written[-1].read_text()
    names = [f"made ({folder})" for folder in folders]
    for said in (
        *names,
        "2.2500 (-0.2500)",
        "optimizer.lr",
        "0.02",
        "0.01",
        f"… minus {names[0]}",
        "训练对比",
        ">步<",
    ):
        assert said in html, said
    assert "steps" in html
    assert "<td>steps</td>" not in html, "what is the same is not listed among what differs"


def test_steps_of_other_sizes_are_compared_by_tokens(tmp_path: Path) -> None:
    html = comparison([read_run(folder) for folder in two(tmp_path, 200)])
    assert "raw tokens learned from" in html
    assert ">步<" not in html


def test_one_page_of_ones_own_choice(tmp_path: Path) -> None:
    folders = two(tmp_path, 100)
    out = tmp_path / "deep" / "page.html"
    assert report(folders[:1], out) == [out]
    assert report(folders, out)[-1] == out
    assert labels([read_run(folders[0])] * 2) == [f"made ({folders[0]}) #1", f"made ({folders[0]}) #2"]


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: no folder of a run" in capsys.readouterr().err.replace("\n", " ")
