"""The evaluations of a run, as its metrics hold them: which was the best, does held-out loss still fall? No torch."""

from collections.abc import Collection
from dataclasses import dataclass, field
from math import inf, nan
from pathlib import Path
from typing import NamedTuple

import orjson

METRICS_FILE = "metrics.jsonl"


class Evaluation(NamedTuple):
    """Held-out loss after so many updates. loss: eval_loss, see metrics.METRICS; nan where it was no number. samples:
    how many it was measured on."""

    step: int
    loss: float
    samples: int


def read_evaluations(folder: Path, last: int | None = None) -> list[Evaluation]:
    """Those in the metrics of the run in `folder`, in order, up to step `last`; empty where there are none."""
    path = folder / METRICS_FILE
    found: list[Evaluation] = []
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:  # a killed run leaves half a line
            continue
        if "eval_loss" in record and (last is None or record["step"] <= last):
            loss = record["eval_loss"]  # JSON has no nan: it is null
            found.append(Evaluation(record["step"], nan if loss is None else loss, record["eval_samples"]))
    return found


def comparable(evaluations: list[Evaluation]) -> list[Evaluation]:
    """Those on as many samples as the last: eval_windows may change between two starts."""
    return [one for one in evaluations if one.samples == evaluations[-1].samples]


def best(evaluations: list[Evaluation], steps: Collection[int] | None = None) -> Evaluation | None:
    """The first with the lowest loss, of those that compare with the last; `steps`: of these alone."""
    among = [
        one
        for one in comparable(evaluations)
        if one.loss < inf and (steps is None or one.step in steps)  # nan is not
    ]
    return min(among, key=lambda one: one.loss, default=None)


@dataclass
class Progress:
    """The evaluations of a run so far, and the best whose checkpoint is kept. The same on every rank."""

    evaluations: list[Evaluation] = field(default_factory=list)
    kept: Evaluation | None = None

    @classmethod
    def read(cls, folder: Path, step: int, checkpoints: Collection[int]) -> "Progress":
        """That of the run in `folder` which goes on after `step`; checkpoints: the steps of those that are there."""
        evaluations = read_evaluations(folder, step)
        return cls(evaluations, best(evaluations, checkpoints))

    def evaluated(self, step: int) -> bool:
        """Whether there is an evaluation after `step`."""
        return any(one.step == step for one in self.evaluations)

    def add(self, one: Evaluation) -> bool:
        """Whether it is better than the best that is kept; then its checkpoint must be kept from now on."""
        self.evaluations.append(one)
        before = self.kept
        better = one.loss < inf and (
            before is None or before.samples != one.samples or one.loss < before.loss
        )
        if better:
            self.kept = one
        return better

    def standstill(self, patience: int, min_delta: float) -> str:
        """Why the run ends early: so many evaluations in a row were not min_delta below the best before them. Empty:
        it does not; patience 0: never."""
        mark, since = Evaluation(0, inf, 0), 0
        for one in comparable(self.evaluations):
            gained = one.loss < mark.loss - min_delta
            mark, since = (one, 0) if gained else (mark, since + 1)
        if not patience or since < patience:
            return ""
        if mark.loss == inf:
            return f"early stop: eval_loss was no number in {since} evaluations"
        more = f" by more than {min_delta:g}" if min_delta else ""
        return (
            f"early stop: in {since} evaluations eval_loss has not fallen{more} below {mark.loss:.4f}, that of step "
            f"{mark.step}"
        )

    def summary(self) -> str:
        """The best and the last, for a person; empty where nothing was evaluated."""
        lowest = best(self.evaluations)
        if lowest is None:
            return ""
        last = self.evaluations[-1]
        now = "" if last == lowest else f"; after step {last.step} it is {last.loss:.4f}"
        return f"; held-out loss was lowest after step {lowest.step}: {lowest.loss:.4f}{now}"
