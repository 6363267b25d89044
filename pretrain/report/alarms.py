"""What in a run deserves a look, found by a few plain rules over its files. No torch.

A rule says what it compares, so that who reads it can judge; none of them changes or ends a run.
"""

import math
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

import numpy as np

from taixue.base.language import Both

from ..run.history import Start
from .run_files import Row, RunFiles, seconds_of

BEFORE = 50
"""Reports that a report is compared with; at least LEAST of them."""
LEAST = 20
NORM_TIMES, LOSS_TIMES = 10.0, 1.5
DATA_SHARE = 0.2
RISE = 0.01


class Alarm(NamedTuple):
    """time: seconds since 1970, nan if unknown; step: -1 if it belongs to none."""

    time: float
    step: int
    what: Both


def alarms(run: RunFiles) -> list[Alarm]:
    """All of them, by step."""
    found = [*_ends(run), *_spikes(run), *_skipped(run), *_rising(run), *_starving(run)]
    return sorted(found, key=lambda alarm: alarm.step)


def end_of(start: Start, is_last: bool) -> Both:
    """How a start ended, in words."""
    end = start.end
    if end is None:
        if is_last:
            return Both("no end yet", "尚未结束")
        return Both("killed: it left no record of its end", "被强行终止：没有留下结束记录")
    why = {
        "finished": Both("finished", "完成"),
        "signal": Both("stopped by", "被信号停止："),
        "error": Both("failed:", "出错："),
        "diverged": Both("diverged:", "发散："),
    }[end.why]
    detail = f" {end.detail}" if end.detail else ""
    return Both(why.en + detail, why.zh + detail)


def _ends(run: RunFiles) -> Iterator[Alarm]:
    for number, start in enumerate(run.starts):
        is_last = start is run.starts[-1]
        if (start.end is None and is_last) or (
            start.end is not None and start.end.why in ("finished", "signal")
        ):
            continue
        said = end_of(start, is_last)
        step = start.end.step if start.end else start.step
        time = seconds_of(start.end.time if start.end else start.time)
        yield Alarm(time, step, Both(f"start {number + 1} {said.en}", f"第 {number + 1} 次启动{said.zh}"))


def _spikes(run: RunFiles) -> Iterator[Alarm]:
    """Reports far above those before them."""
    rules = (
        ("grad_norm", NORM_TIMES, Both("gradient norm", "梯度范数")),
        ("loss", LOSS_TIMES, Both("training loss", "训练损失")),
    )
    for name, times, words in rules:
        known = [row for row in run.training if math.isfinite(row.values.get(name, math.nan))]
        values = [row.values[name] for row in known]
        if len(values) <= LEAST:
            continue
        lowest = np.lib.stride_tricks.sliding_window_view(np.array(values), LEAST).min(1)[
            :-1
        ]  # cheap, and below
        for place in (LEAST + np.flatnonzero(values[LEAST:] > times * lowest)).tolist():  # the median
            usual = median(values[max(place - BEFORE, 0) : place])
            if usual > 0 and values[place] > times * usual:
                row = known[place]
                yield Alarm(
                    row.time,
                    row.step,
                    Both(
                        f"{words.en} {values[place]:.3g}, {values[place] / usual:.1f} times its median before",
                        f"{words.zh} {values[place]:.3g}，为此前中位数的 {values[place] / usual:.1f} 倍",
                    ),
                )


def _skipped(run: RunFiles) -> Iterator[Alarm]:
    for row in run.training:
        if row.values.get("skipped", 0) > 0:
            said = Both("left out: the gradient overflowed (fp16)", "已跳过：梯度溢出（fp16）")
            yield Alarm(row.time, row.step, said)


def _rising(run: RunFiles) -> Iterator[Alarm]:
    """Held-out losses whose best is behind."""
    for name in dict.fromkeys(
        name for row in run.held_out for name in row.values if name.startswith("eval/")
    ):
        rows = [row for row in run.held_out if math.isfinite(row.values.get(name, math.nan))]
        if len(rows) < 2:
            continue
        best, last = min(rows, key=lambda row: row.values[name]), rows[-1]
        if last.values[name] > best.values[name] * (1 + RISE):
            now, then = last.values[name], best.values[name]
            yield Alarm(
                last.time,
                last.step,
                Both(
                    f"{name} {now:.4f}: it was lowest at step {best.step:,} ({then:.4f}), the newest weights are not "
                    "the best",
                    f"{name} {now:.4f}：最低值在第 {best.step:,} 步（{then:.4f}），最新的权重并非最好",
                ),
            )


def _starving(run: RunFiles) -> Iterator[Alarm]:
    """Whether the last reports waited for data."""
    rows: list[Row] = [
        row for row in run.training[-LEAST:] if {"data_wait", "step_seconds"} <= row.values.keys()
    ]
    whole = math.fsum(row.values["step_seconds"] for row in rows)
    waited = math.fsum(row.values["data_wait"] for row in rows)
    if len(rows) == LEAST and whole > 0 and waited > DATA_SHARE * whole:
        share = waited / whole
        yield Alarm(
            rows[-1].time,
            rows[-1].step,
            Both(
                f"{share:.0%} of the last steps' time is spent waiting for data",
                f"最近各步有 {share:.0%} 的时间在等待数据",
            ),
        )
