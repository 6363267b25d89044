"""Which checkpoint of a run is meant, and how it stands among the others."""

import logging
from dataclasses import dataclass
from pathlib import Path

from taixue.base import UserError

from ..checkpoint import layout
from ..observe.evaluations import Evaluation, best, comparable, read_evaluations
from ..run.contents import CHECKPOINTS

log = logging.getLogger("taixue")


@dataclass(frozen=True)
class Chosen:
    """An intact checkpoint. words: its step, its held-out loss, and those of the best and of the last."""

    path: Path
    words: str


def choose(source: Path, which: str) -> Chosen:
    """Every byte of it is verified. UserError.

    source: a checkpoint, or a run folder. which, of a run folder: "best", the checkpoint with the lowest held-out
    loss; "last", the newest; a number, that of this step; "": the best, or the last where none was evaluated. One that
    is damaged is passed over, unless it was named.
    """
    if (step := layout.step_of(source)) is not None and source.is_dir():
        if which:
            raise UserError(
                f"--which {which}: {source} is one checkpoint already; name the folder of its run"
            )
        return _intact(source, step, source.parent)
    folder = source / CHECKPOINTS
    there = {step: path for path in layout.committed(folder) if (step := layout.step_of(path)) is not None}
    if not there:
        raise UserError(
            f"{source}: no checkpoint there; expected a run folder with {CHECKPOINTS}/step-* or one of its step-* "
            "folders"
        )
    if which.isdecimal():
        if int(which) not in there:
            steps = ", ".join(map(str, sorted(there)))
            raise UserError(f"--which {which}: {folder} holds no checkpoint of that step; legal: {steps}")
        return _intact(there[int(which)], int(which), folder)
    for step in _candidates(source, which, there):
        if not (found := layout.problems(there[step])):
            return Chosen(there[step], _words(step, folder))
        log.warning("checkpoint %s is damaged (%s); trying the next", there[step], found[0])
    raise UserError(
        f"{source}: no intact checkpoint there: every one of {', '.join(map(str, sorted(there)))} is damaged"
    )


def _candidates(run: Path, which: str, there: dict[int, Path]) -> list[int]:
    """Steps, the one that is meant first."""
    if which not in ("", "best", "last"):
        raise UserError(f"--which {which}; legal: best, last, or a step")
    newest = sorted(there, reverse=True)
    if which == "last":
        return newest
    ranked: list[int] = []
    evaluations = read_evaluations(run)
    while lowest := best(evaluations, there.keys() - set(ranked)):
        ranked.append(lowest.step)
    if which and not ranked:
        raise UserError(
            f"--which best: no evaluation of a checkpoint is recorded in {run}; legal: last, or one of the steps "
            f"{', '.join(map(str, sorted(there)))}"
        )
    return ranked + [step for step in newest if step not in ranked]


def _intact(path: Path, step: int, folder: Path) -> Chosen:
    if found := layout.problems(path):
        raise UserError(f"{path}: damaged ({found[0]}); name another checkpoint of the run")
    return Chosen(path, _words(step, folder))


def _words(step: int, folder: Path) -> str:
    evaluations = comparable(read_evaluations(folder.parent))
    losses = {one.step: one.loss for one in evaluations}
    lowest, newest = best(evaluations), max(layout.steps(folder))
    parts = [f"step {step:,}" + (f", held-out loss {losses[step]:.4f}" if step in losses else "")]
    parts[0] += ", the last checkpoint" if step == newest else ""
    if lowest is not None and len(evaluations) > 1:
        parts += [_beside(step, lowest, len(evaluations))]
    if step != newest:
        last = f" with {losses[newest]:.4f}" if newest in losses else ""
        parts += [f"the last checkpoint is step {newest:,}{last}"]
    return "; ".join(parts)


def _beside(step: int, lowest: Evaluation, count: int) -> str:
    if lowest.step == step:
        return f"the best of {count} evaluations"
    return f"the best of {count} evaluations was step {lowest.step:,} with {lowest.loss:.4f}"
