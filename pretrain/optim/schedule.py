"""Learning rate as a pure function of the step. No torch, no state: nothing to save in a checkpoint.

Steps count from 0. Update number u = step + 1 is what the formulas see, so the warm-up line goes through 0
just before the first update (no update is wasted at a rate of 0), reaches the peak at step = warmup_steps - 1, and
the last step of the run (step = steps - 1) uses exactly the final rate, peak * min_ratio.
"""

from math import cos, pi, sqrt

from ..config.schema import ScheduleConfig


def learning_rate(config: ScheduleConfig, peak: float, step: int, steps: int) -> float:
    """Learning rate of 0-based `step` in a run of `steps` steps.

    With w = warmup_steps, r = min_ratio, x = (u - w) / (steps - w) the part of the decay that is done:

        every schedule  peak * u / w                              while u <= w
        constant        peak
        linear          peak * (1 - (1 - r) x)
        cosine          peak * (r + (1 - r) (1 + cos pi x) / 2)   Loshchilov & Hutter 2017
        inverse-sqrt    peak * max(r, sqrt(w / u))                Raffel et al. 2020; theirs is flat where ours warms up
        wsd             peak, then linear to peak * r over        Hu et al. 2024
                        the last decay_steps (0: steps // 10)

    Steps beyond the end keep the final rate.
    """
    update = step + 1
    warmup = min(config.warmup_steps, steps)
    if update <= warmup:
        return peak * update / warmup
    floor = config.min_ratio
    match config.name:
        case "constant":
            return peak
        case "inverse-sqrt":
            return peak * max(floor, sqrt(max(warmup, 1) / update))
        case "wsd":
            length = min(config.decay_steps or max(steps // 10, 1), steps - warmup)
            return peak * _line(floor, _part(update, steps - length, steps))
        case "linear":
            return peak * _line(floor, _part(update, warmup, steps))
        case "cosine":
            return peak * (floor + (1 - floor) * (1 + cos(pi * _part(update, warmup, steps))) / 2)


def _part(update: int, start: int, end: int) -> float:
    """How much of the stretch from start to end is done, between 0 and 1."""
    return min(max((update - start) / max(end - start, 1), 0.0), 1.0)


def _line(floor: float, part: float) -> float:
    return 1 - (1 - floor) * part
