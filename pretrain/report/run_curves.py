"""The curves of a run, from its rows: what is drawn on its own page and beside other runs. No torch."""

import math
from collections.abc import Iterable, Sequence

from taixue.base.curves import Axis, Curve
from taixue.base.language import Both, Text

from ..observe.metrics import WAITS
from ..observe.names import WITHOUT_TAGS
from .run_files import Row, RunFiles, Sample

STEP = Axis(Both("step", "步"), short=lambda value: f"{value:,.0f}")


def points(rows: Iterable[Row], name: str, scale: float = 1.0) -> list[tuple[float, float]]:
    """(step, value) of the rows that have it."""
    return [(row.step, row.values[name] * scale) for row in rows if name in row.values]


def quantity(run: RunFiles, name: str, scale: float = 1.0) -> list[Curve]:
    """One number of the reports, and what of it was done again."""
    return [Curve(name, points(run.training, name, scale)), *_abandoned(run, name, scale)]


def held_out_names(run: RunFiles) -> list[str]:
    """Those of the held-out losses, in order of appearance."""
    return list(
        dict.fromkeys(name for row in run.held_out for name in row.values if name.startswith("eval/"))
    )


def losses(run: RunFiles) -> list[tuple[Text, list[Curve]]]:
    """For each objective its training loss and its held-out losses by source; the sum where there are several."""
    names = list(
        dict.fromkeys(name for row in run.training for name in row.values if name.startswith("loss/"))
    )
    held_out = held_out_names(run)
    found: list[tuple[Text, list[Curve]]] = []
    for name in names or ["loss"]:
        objective = name.partition("/")[2]
        mine = [key for key in held_out if _objective(key) == objective] if names else held_out
        curves = [Curve(name, points(run.training, name), colour=0), *_abandoned(run, name)]
        plain = [key for key in mine if not key.endswith(WITHOUT_TAGS)]
        for place, key in enumerate(plain, 1):
            curves += [Curve(key, points(run.held_out, key), colour=place), *_abandoned(run, key)]
            if (without := f"{key}{WITHOUT_TAGS}") in mine:
                curves.append(Curve(without, points(run.held_out, without), dashed=True, colour=place))
        found.append((objective or "loss", curves))
    if len(names) > 1:
        found.insert(0, (Both("weighted sum", "加权和"), quantity(run, "loss")))
    return found


def _objective(name: str) -> str:
    """Of eval/<source>/<objective>[-without-tags]; a source may have a slash in its name."""
    return name.rpartition("/")[2].removesuffix(WITHOUT_TAGS)


def _abandoned(run: RunFiles, name: str, scale: float = 1.0) -> list[Curve]:
    parts = [points(rows, name, scale) for rows in run.abandoned]
    return [Curve(name, part, abandoned=True) for part in parts if part]


def parts_of_step(run: RunFiles) -> list[Curve]:
    """step_seconds, and what of it was spent waiting."""
    names = ["step_seconds", *WAITS]
    return [Curve(name, points(run.training, name)) for name in names if points(run.training, name)]


def last_word(samples: Sequence[Sample]) -> list[Sample]:
    """Without those whose steps were done again: of one sample, by ascending step."""
    kept: list[Sample] = []
    for sample in samples:
        while kept and kept[-1].step >= sample.step:
            kept.pop()
        kept.append(sample)
    return kept


def by_sample(samples: Sequence[Sample]) -> dict[tuple[str, int], list[Sample]]:
    """What each sample was filled with, by ascending step."""
    found: dict[tuple[str, int], list[Sample]] = {}
    for sample in samples:
        found.setdefault((sample.source, sample.number), []).append(sample)
    return {key: last_word(mine) for key, mine in found.items()}


def fills_right(run: RunFiles) -> list[Curve]:
    """By source: how many pieces in the blanks of its samples are filled as they were, in %."""
    counts: dict[str, dict[int, list[int]]] = {}
    for (source, _), mine in by_sample(run.samples).items():
        for sample in mine:
            right, whole = right_of(sample)
            sums = counts.setdefault(source, {}).setdefault(sample.step, [0, 0])
            sums[0] += right
            sums[1] += whole
    return [
        Curve(
            source,
            [
                (step, 100 * right / whole if whole else math.nan)
                for step, (right, whole) in sorted(steps.items())
            ],
        )
        for source, steps in counts.items()
    ]


def right_of(sample: Sample) -> tuple[int, int]:
    """Pieces that are filled as they were, and all in blanks."""
    pairs = [
        (target, fill)
        for part in sample.parts
        if isinstance(part, dict)
        for target, fill in zip(part["target"], part["fill"], strict=True)
    ]
    return sum(target == fill for target, fill in pairs), len(pairs)
