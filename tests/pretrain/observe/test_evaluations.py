"""Which evaluation was the best, and when a run ends because of them: by what metrics.jsonl holds."""

from math import nan
from pathlib import Path

from taixue.pretrain.observe.evaluations import Evaluation, Progress, best, read_evaluations

METRICS = """\
{"step":1,"loss":3.0}
{"step":2,"eval/web/span":2.5,"eval_loss":2.5,"eval_samples":8}
{"step":4,"eval/web/span":null,"eval_loss":null,"eval_samples":8}
{"step":5,"loss":2.0}
{"st
{"step":6,"eval/web/span":2.0,"eval_loss":2.0,"eval_samples":8}
{"step":8,"eval/web/span":2.25,"eval_loss":2.25,"eval_samples":8}
{"step":9,"eval/web"""


def some(*losses: float, samples: int = 8) -> list[Evaluation]:
    return [Evaluation(step, loss, samples) for step, loss in enumerate(losses, 1)]


def test_what_metrics_hold(tmp_path: Path) -> None:
    assert read_evaluations(tmp_path) == []
    (tmp_path / "metrics.jsonl").write_text(METRICS)
    found = read_evaluations(tmp_path)
    assert [one.step for one in found] == [2, 4, 6, 8]
    assert best(found) == (6, 2.0, 8)
    assert best(found, {2, 4, 8}) == (8, 2.25, 8)
    assert best(found, {4}) is None, "nan is never the best"
    assert best([]) is None

    progress = Progress.read(tmp_path, 6, {2, 4})  # an evaluation of a step that is done again does not count
    assert progress.kept == (2, 2.5, 8), "a best whose checkpoint is gone is beaten by one that can be kept"
    assert progress.evaluated(6)
    assert not progress.evaluated(5)
    assert not progress.add(Evaluation(7, 2.5, 8))
    assert not progress.add(Evaluation(8, nan, 8))
    assert progress.add(Evaluation(9, 2.4, 8))
    assert progress.kept == (9, 2.4, 8)


def test_other_held_out_samples_are_another_measure() -> None:
    progress = Progress(some(2.0, 1.0), Evaluation(2, 1.0, 8))
    assert progress.add(Evaluation(3, 1.5, 16)), "half as many samples were easier"
    assert progress.standstill(1, 0.0) == ""
    assert not progress.add(Evaluation(4, 1.6, 16))
    assert progress.standstill(1, 0.0).endswith("below 1.5000, that of step 3")
    assert best(progress.evaluations) == (3, 1.5, 16)


def test_a_standstill() -> None:
    assert Progress(some(3, 2, 1, 1, 1)).standstill(0, 0.0) == "", "never, by default"
    assert Progress(some(3, 2, 1, 1)).standstill(2, 0.0) == ""
    said = Progress(some(3, 2, 1, 1, 1.5)).standstill(2, 0.0)
    assert said == "early stop: in 2 evaluations eval_loss has not fallen below 1.0000, that of step 3"
    assert (
        Progress(some(3, 2.95, 2.91))
        .standstill(2, 0.1)
        .endswith("by more than 0.1 below 3.0000, that of step 1")
    )
    assert Progress(some(3, 2.95, 2.85)).standstill(2, 0.1) == "", "small gains add up"
    assert (
        Progress(some(nan, nan)).standstill(2, 0.0) == "early stop: eval_loss was no number in 2 evaluations"
    )


def test_the_summary_of_a_run() -> None:
    assert Progress().summary() == ""
    assert Progress(some(3, 2)).summary() == "; held-out loss was lowest after step 2: 2.0000"
    assert Progress(some(2, 3)).summary().endswith("lowest after step 1: 2.0000; after step 2 it is 3.0000")
