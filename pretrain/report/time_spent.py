"""Where the wall time of a run went, as its reports add it up. No torch."""

import math
from itertools import pairwise

from taixue.base.language import Both, Text

from .run_files import Row, RunFiles, seconds_of

_PARTS: dict[str, Text] = {
    "data_wait": Both("waiting for data", "等待数据"),
    "ranks_wait": Both("waiting for other ranks", "等待其他进程"),
    "report_wait": Both("writing reports", "写报告"),
}


def spent(run: RunFiles, now: float) -> dict[Text, float]:
    """Seconds by what they were spent on; empty where nothing is known. What adds up to less than all the starts took
    is start-up and what nobody measures.

    Waiting for the device is part of the steps themselves: then the device computes.
    """
    sums = dict.fromkeys(("step_seconds", *_PARTS), 0.0)
    for before, row in pairwise([Row(0, math.nan, {}), *run.training]):
        for name in sums:
            sums[name] += (row.step - before.step) * _known(row, name)
    if not sums["step_seconds"]:
        return {}
    again = math.fsum(
        (row.step - before.step) * _known(row, "step_seconds") + _known(row, "evaluation_seconds")
        for part in run.abandoned
        for before, row in pairwise(part)
    )
    parts: dict[Text, float] = {words: sums[name] for name, words in _PARTS.items()}
    found: dict[Text, float] = {
        Both("the steps themselves", "训练步本身"): sums["step_seconds"] - math.fsum(parts.values()),
        **parts,
        Both("evaluation", "评测"): math.fsum(_known(row, "evaluation_seconds") for row in run.held_out),
        Both("standing still for saves", "为保存而停顿"): math.fsum(
            _known(row, "save_seconds") for row in run.saves
        ),
        Both("done again after a restart", "重启后重做"): again,
    }
    rest = _wall(run, now) - math.fsum(found.values())
    found[Both("starting, and the rest", "启动与其余")] = rest
    return {name: seconds for name, seconds in found.items() if seconds > 0}


def _known(row: Row, name: str) -> float:
    value = row.values.get(name, 0.0)
    return value if math.isfinite(value) else 0.0


def _wall(run: RunFiles, now: float) -> float:
    """Seconds that starts lasted; one that left no end, until the last report before the next."""
    rows = [*run.rows, *(row for part in run.abandoned for row in part)]
    times = sorted(row.time for row in rows if math.isfinite(row.time))
    total = 0.0
    for place, start in enumerate(run.starts):
        begin = seconds_of(start.time)
        following = seconds_of(run.starts[place + 1].time) if place + 1 < len(run.starts) else now
        if start.end is not None:
            end = seconds_of(start.end.time)
        else:
            end = max((time for time in times if begin <= time <= following), default=begin)
        if math.isfinite(end - begin):
            total += max(end - begin, 0.0)
    return total
