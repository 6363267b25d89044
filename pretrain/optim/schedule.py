"""Learning rate as a pure function of the step. No torch, no state: nothing to save in a checkpoint.

Steps count from 0. Update number u = step + 1 is what the formulas see, so the warm-up line goes through 0 just before
the first update (no update is wasted at a rate of 0), reaches the peak at step = warmup_steps - 1, and the last step of
the run (step = steps - 1) uses exactly the final rate, peak * min_ratio.

With w = warmup_steps, r = min_ratio, x = (u - w) / (steps - w) the part of the decay that is done:

    every schedule  peak * u / w                               while u <= w
    constant        peak
    linear          peak * (1 - (1 - r) x)
    cosine          peak * (r + (1 - r) (1 + cos pi x) / 2)    Loshchilov & Hutter 2017
    inverse-sqrt    peak * max(r, sqrt(w / u))                 Raffel et al. 2020; theirs is flat where ours warms up
    wsd             peak, then linear to peak * r over the     Hu et al. 2024
                    last decay_steps (0: steps // 10)

Steps beyond the end keep the final rate.

With extend = e > 0 the first e steps are those of a run of e steps. From then on steps are counted from e, in a run of
steps - e, and the warm-up line begins at the rate a of step e - 1 instead of 0: a + (peak - a) * u / w while u <= w.
So no step's rate is far from that of the step before, and the last is peak * r again, as of a run that was never ended.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import cos, pi, sqrt
from typing import Any

from taixue.base.registry import UnionRegistry

from .config import (
    ConstantConfig,
    CosineConfig,
    InverseSqrtConfig,
    LinearConfig,
    ScheduleSection,
    WsdConfig,
)


def _no_problems(config: Any, steps: int) -> Iterator[str]:
    return iter(())


@dataclass(frozen=True)
class ScheduleKind:
    """A schedule by its name in configurations.

    config: its section, a ScheduleSection. rate(config, peak, step, steps): learning rate of 0-based `step`, after the
    warm-up, in a run of `steps` steps; a pure function. problems(config, steps): what is wrong with such a run.
    """

    name: str
    config: type[ScheduleSection]
    rate: Callable[[Any, float, int, int], float]
    problems: Callable[[Any, int], Iterator[str]] = _no_problems


SCHEDULES: UnionRegistry[ScheduleKind] = UnionRegistry("schedule", ScheduleKind, "name", ScheduleSection)


def learning_rate(config: ScheduleSection, peak: float, step: int, steps: int) -> float:
    """Learning rate of 0-based `step` in a run of `steps` steps: the warm-up line, then what the schedule says."""
    old = min(config.extend, steps)
    if not old or step < old:
        return _round(config, peak, 0.0, step, old or steps)
    return _round(config, peak, _round(config, peak, 0.0, old - 1, old), step - old, steps - old)


def _round(config: ScheduleSection, peak: float, first: float, step: int, steps: int) -> float:
    """The rate in one round of warm-up, from `first`, and decay."""
    update, warmup = step + 1, min(config.warmup_steps, steps)
    if update <= warmup:
        return first + (peak - first) * update / warmup
    return SCHEDULES.of(config).rate(config, peak, step, steps)


def decayed(config: ScheduleSection, step: int, steps: int) -> float:
    """x of the formulas: the part of the way from the end of the warm-up to the last step, between 0 and 1."""
    return _part(step + 1, min(config.warmup_steps, steps), steps)


def _constant(config: ConstantConfig, peak: float, step: int, steps: int) -> float:
    return peak


def _linear(config: LinearConfig, peak: float, step: int, steps: int) -> float:
    return peak * _line(config.min_ratio, decayed(config, step, steps))


def _cosine(config: CosineConfig, peak: float, step: int, steps: int) -> float:
    floor = config.min_ratio
    return peak * (floor + (1 - floor) * (1 + cos(pi * decayed(config, step, steps))) / 2)


def _inverse_sqrt(config: InverseSqrtConfig, peak: float, step: int, steps: int) -> float:
    warmup = max(min(config.warmup_steps, steps), 1)
    return peak * max(config.min_ratio, sqrt(warmup / (step + 1)))


def _wsd(config: WsdConfig, peak: float, step: int, steps: int) -> float:
    room = steps - min(config.warmup_steps, steps)
    length = min(config.decay_steps or max(steps // 10, 1), room)
    return peak * _line(config.min_ratio, _part(step + 1, steps - length, steps))


def _wsd_problems(config: WsdConfig, steps: int) -> Iterator[str]:
    if config.warmup_steps + config.decay_steps > steps:
        yield (
            f"schedule.decay_steps: {config.decay_steps} and {config.warmup_steps} of warm-up exceed {steps} "
            f"steps; at most {steps - config.warmup_steps}"
        )


def _part(update: int, start: int, end: int) -> float:
    """How much of the stretch from start to end is done, between 0 and 1."""
    return min(max((update - start) / max(end - start, 1), 0.0), 1.0)


def _line(floor: float, part: float) -> float:
    return 1 - (1 - floor) * part


for _kind in (
    ScheduleKind("inverse-sqrt", InverseSqrtConfig, _inverse_sqrt),
    ScheduleKind("cosine", CosineConfig, _cosine),
    ScheduleKind("linear", LinearConfig, _linear),
    ScheduleKind("wsd", WsdConfig, _wsd, _wsd_problems),
    ScheduleKind("constant", ConstantConfig, _constant),
):
    SCHEDULES.add(_kind)
