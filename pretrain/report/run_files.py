"""What the files of a run folder say, each line checked: a killed run leaves half a line, others edit. No torch.

Lines that are no records are skipped; of a record only numbers count.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import yaml

from taixue.base import UserError

from ..observe.evaluations import METRICS_FILE
from ..observe.rank_log import log_path
from ..observe.sinks import ABANDONED_FILE
from ..run.contents import CONFIG, FILLS
from ..run.history import Start, read_history

LARGEST = 1e100
"""Numbers beyond are taken for none: their sums must be finite."""
LOG_BYTES = 1 << 18
"""Of the end of a log that is looked at."""


@dataclass(frozen=True)
class Row:
    """A record of the metrics: numbers by name; nan where a loss was none. time: seconds since 1970, nan if unknown."""

    step: int
    time: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class Sample:
    """A held-out sample and what the model made of it after `step` updates; parts as in run/fills.py."""

    step: int
    source: str
    number: int
    parts: list[Any]


@dataclass(frozen=True)
class RunFiles:
    """A run. training: reports of steps; held_out: evaluations; saves: checkpoints; each by ascending step, as the last
    start that did them has it. abandoned: rows of steps that were done again, a list for each time.
    config: of the last start, by section. warnings: (time, text) that rank 0 logged."""

    name: str
    folder: Path
    starts: list[Start]
    training: list[Row]
    held_out: list[Row]
    saves: list[Row]
    abandoned: list[list[Row]]
    samples: list[Sample]
    config: Mapping[str, Any]
    warnings: list[tuple[float, str]]

    @property
    def steps(self) -> int:
        """Updates the run is to have; 0 if unknown."""
        steps = self.config.get("steps")
        return steps if isinstance(steps, int) else 0

    @property
    def done(self) -> int:
        """Updates it has, by its reports and its end."""
        ends = [start.end.step for start in self.starts[-1:] if start.end]
        return max([row.step for row in self.training[-1:]] + ends, default=0)

    @property
    def rows(self) -> list[Row]:
        """All that is not abandoned, by time."""
        return sorted([*self.training, *self.held_out, *self.saves], key=lambda row: row.step)


def read_run(folder: Path) -> RunFiles:
    """Everything a page tells. UserError where nothing says that this is the folder of a run."""
    starts = read_history(folder)
    config = starts[-1].config if starts else _config(folder / CONFIG)
    if not starts and not config and not (folder / METRICS_FILE).is_file():
        raise UserError(
            f"{folder}: no folder of a run: neither {METRICS_FILE} nor history.jsonl nor {CONFIG} is in it; a run's "
            "folder is RUNS/NAME of its configuration"
        )
    rows = list(_rows(folder / METRICS_FILE))
    kinds = [
        [row for row in rows if "loss" in row.values],
        [row for row in rows if "loss" not in row.values and _is_evaluation(row)],
        [row for row in rows if "save_seconds" in row.values],
    ]
    kept = [_last_word(kind) for kind in kinds]
    dropped = _runs_of_steps(_distinct(_rows(folder / ABANDONED_FILE), rows))
    name = config.get("name")
    return RunFiles(
        name=name if isinstance(name, str) and name else folder.resolve().name,
        folder=folder,
        starts=starts,
        training=kept[0][0],
        held_out=kept[1][0],
        saves=kept[2][0],
        abandoned=[*dropped, *(part for _, parts in kept for part in parts)],
        samples=list(_samples(folder / FILLS)),
        config=config,
        warnings=list(_warnings(log_path(folder, 0))),
    )


def seconds_of(time: str) -> float:
    """A time of the history as seconds since 1970; nan for one that is none."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return math.nan


def _is_evaluation(row: Row) -> bool:
    return any(name.startswith("eval/") for name in row.values)


def _lines(path: Path) -> Iterator[Any]:
    """The JSON objects of a file, a line each."""
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            yield record


def _rows(path: Path) -> Iterator[Row]:
    for record in _lines(path):
        step = record.get("step")
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            continue
        time = _number(record.pop("time", None))
        del record["step"]
        values = {name: _number(value) for name, value in record.items()}
        for name in [name for name, value in values.items() if value != value and record[name] is not None]:
            del values[name]
        yield Row(step, time, values)


def _number(value: Any) -> float:
    """nan for what is no finite number."""
    if type(value) not in (int, float) or abs(value) > LARGEST:
        return math.nan
    return float(value)


def _last_word(rows: Iterable[Row]) -> tuple[list[Row], list[list[Row]]]:
    """Rows by ascending step, of which later ones win; and what they replace, if lines of several starts overlap."""
    kept: list[Row] = []
    replaced: list[list[Row]] = []
    for row in rows:
        first = len(kept)
        while first and kept[first - 1].step >= row.step:
            first -= 1
        if first < len(kept):
            replaced.append(kept[first:])
            del kept[first:]
        kept.append(row)
    return kept, replaced


def _distinct(rows: Iterable[Row], current: list[Row]) -> list[Row]:
    """Without those that a kill left in both files, or that were moved twice."""
    rows = list(rows)
    if not rows:
        return []
    seen = {(row.step, row.time, tuple(row.values.items())) for row in current if not math.isnan(row.time)}
    found = []
    for row in rows:
        key = (row.step, row.time, tuple(row.values.items()))
        if key not in seen:
            seen.add(key)
            found.append(row)
    return found


def _runs_of_steps(rows: list[Row]) -> list[list[Row]]:
    """Cut where steps fall: there a later start's rows begin."""
    found: list[list[Row]] = []
    for row in rows:
        if not found or row.step < found[-1][-1].step:
            found.append([])
        found[-1].append(row)
    return found


def _samples(path: Path) -> Iterator[Sample]:
    for record in _lines(path):
        step, source, number, parts = (record.get(key) for key in ("step", "source", "number", "parts"))
        if not isinstance(step, int) or not isinstance(source, str) or not isinstance(number, int):
            continue
        if isinstance(parts, list) and all(map(_is_part, parts)):
            yield Sample(step, source, number, parts)


def _is_part(part: Any) -> bool:
    if isinstance(part, str):
        return True
    if not isinstance(part, dict):
        return False
    target, fill = part.get("target"), part.get("fill")
    if not isinstance(target, list) or not isinstance(fill, list) or len(target) != len(fill):
        return False
    return all(isinstance(piece, str) for piece in [*target, *fill])


def _config(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _warnings(path: Path) -> Iterator[tuple[float, str]]:
    """Lines of a rank's log that are warnings and worse."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(file.tell() - LOG_BYTES, 0))
        lines = file.read().decode("utf-8", "replace").splitlines()
    for line in lines:
        time, _, rest = line.partition(" ")
        level, _, message = rest.partition(" ")
        if level in ("WARNING", "ERROR", "CRITICAL") and not math.isnan(when := seconds_of(time)):
            yield when, message
