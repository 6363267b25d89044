"""The best checkpoint is kept beside the newest, and a run that no longer gets better ends, on all ranks alike."""

from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from taixue import UserError
from taixue.pretrain import train
from taixue.pretrain.checkpoint import layout, steps
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.config.validate import validate
from taixue.pretrain.export.chosen import choose
from taixue.pretrain.run import loop
from taixue.pretrain.run.evaluation import evaluate
from taixue.pretrain.run.history import read_history
from taixue.pretrain.run.state import TrainState

from ...dist import run_ranks
from .runs import folder, go, metrics, settings


def go_with(values: dict[str, Any], losses: dict[int, float], disturbance: str = "") -> str:
    """Rank function: as go, with an eval_loss after each step as if the model had learned that."""

    def measured(state: TrainState, *rest: Any) -> dict[str, float] | None:
        found = evaluate(state, *rest)
        return found if found is None else found | {"eval_loss": losses[state.engine.state()["updates"]]}

    with mock.patch.object(loop, "evaluate", measured):
        return go(values, disturbance)


def said(values: dict[str, Any], losses: dict[int, float]) -> str:
    """Rank function: what go_with says about the run, the last of it."""
    with mock.patch.object(train.log, "info") as info:
        assert go_with(values, losses) == "done"
    words, *numbers = info.call_args.args
    return str(words % tuple(numbers))


def kept(values: dict[str, Any]) -> list[int]:
    return sorted(steps(folder(values) / "checkpoints"))


def test_the_best_is_kept_through_a_stop_and_another_layout(made: dict[str, str], tmp_path: Path) -> None:
    losses = {2: 3.0, 4: 3.5, 6: 3.1, 8: 2.5, 10: 2.7}
    values = settings(tmp_path, made, steps=10, eval_every=2, checkpoint={"every": 5, "keep": 1})
    assert set(run_ranks(go_with, 2, values, losses, "term@5")) == {"done"}
    assert kept(values) == [2, 5]
    assert run_ranks(go_with, 1, values, losses) == ["done"]
    assert kept(values) == [8, 10]
    assert [row["eval_loss"] for row in metrics(values) if "eval_loss" in row] == list(losses.values())

    run = folder(values)
    said = "held-out loss 2.5000; the best of 5 evaluations; the last checkpoint is step 10 with 2.7000"
    for which in ("", "best", "8"):
        assert choose(run, which).words == f"step 8, {said}"
    last = choose(run, "last")
    assert last.path.name == "step-00000010"
    assert last.words == (
        "step 10, held-out loss 2.7000, the last checkpoint; the best of 5 evaluations was step 8 with 2.5000"
    )
    assert choose(last.path, "").words == last.words
    with pytest.raises(UserError, match=r"--which 7: .* no checkpoint of that step; legal: 8, 10"):
        choose(run, "7")
    with pytest.raises(UserError, match=r"--which first; legal: best, last, or a step"):
        choose(run, "first")
    with pytest.raises(UserError, match="is one checkpoint already"):
        choose(last.path, "best")
    (run / "checkpoints" / "step-00000008" / layout.STATE).unlink()
    assert choose(run, "best").path == last.path, "the best that is intact"
    with pytest.raises(UserError, match=r"step-00000008: damaged \(state.json: missing\)"):
        choose(run, "8")


def test_without_evaluations_or_asked_not_to_only_the_newest_stay(
    made: dict[str, str], tmp_path: Path
) -> None:
    losses = {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0}
    values = settings(
        tmp_path, made, steps=4, eval_every=1, checkpoint={"every": 2, "keep": 1, "best": False}
    )
    assert run_ranks(go_with, 1, values, losses) == ["done"]
    assert kept(values) == [4]
    assert choose(folder(values), "").words == (
        "step 4, held-out loss 4.0000, the last checkpoint; the best of 4 evaluations was step 1 with 1.0000"
    )
    (folder(values) / "metrics.jsonl").unlink()
    assert choose(folder(values), "").words == "step 4, the last checkpoint"
    with pytest.raises(
        UserError, match=r"--which best: no evaluation of a checkpoint is recorded .* the steps 4"
    ):
        choose(folder(values), "best")


def test_an_early_stop_finishes_a_run_until_patience_is_longer(made: dict[str, str], tmp_path: Path) -> None:
    losses = {1: 5.0, 2: 4.0, 3: 4.0, 4: 4.5, 5: 4.0, 6: 3.0}
    values = settings(tmp_path, made, eval_every=1, checkpoint={"every": 6}, early_stop={"patience": 2})
    ended = set(run_ranks(said, 2, values, losses))
    reason = "early stop: in 2 evaluations eval_loss has not fallen below 4.0000, that of step 2"
    (start,) = read_history(folder(values))
    assert start.end is not None
    assert (start.end.why, start.end.step, start.end.detail) == ("finished", 4, reason)
    assert kept(values) == [1, 2, 4], "both that were the best when they were made, and the end"
    assert not (folder(values) / "PREEMPTED").exists()
    assert ended == {f"run run is finished: 4 steps; {reason}; look at it: {folder(values) / 'index.html'}"}

    (again,) = set(run_ranks(said, 2, values, losses))
    assert again.endswith(f"step-00000004 holds 4 of its 6 steps; {reason}")
    assert len(read_history(folder(values))) == 1, "nothing was started"

    (end,) = run_ranks(said, 1, values | {"early_stop": {"patience": 4}}, losses)
    assert end.endswith(
        f"6 steps; held-out loss was lowest after step 6: 3.0000; look at it: {folder(values) / 'index.html'}"
    )
    assert kept(values) == [2, 4, 6], "the three newest; the best is among them"
    ends = [start.end for start in read_history(folder(values))]
    assert [(end.step, end.detail) for end in ends if end] == [(4, reason), (6, "")]


def test_an_evaluation_cut_short_counts_when_it_is_made_up_for(made: dict[str, str], tmp_path: Path) -> None:
    losses = {1: 3.0, 2: 2.0, 3: 2.5, 4: 2.5}
    values = settings(tmp_path, made, steps=4, eval_every=1, checkpoint={"every": 9, "keep": 1})
    assert run_ranks(go_with, 1, values, losses, "eval@4") == [
        "done"
    ]  # the first batch of the second evaluation
    assert kept(values) == [1, 2]
    assert run_ranks(go_with, 1, values, losses) == ["done"]
    assert kept(values) == [2, 4]


def test_patience_needs_evaluations() -> None:
    run = RunConfig.model_validate({"eval_every": 0, "steps": 50_000, "early_stop": {"patience": 3}})
    with pytest.raises(UserError, match=r"early_stop.patience: 3, but eval_every is 0.*at most 50000"):
        validate(run, 1)
