"""Several runs over each other: their curves, the difference from the first, and what was configured otherwise."""

import math
from collections.abc import Sequence
from typing import Any

import orjson

from taixue.base.charts import number
from taixue.base.curves import Axis, Curve, chart
from taixue.base.language import Both, html
from taixue.base.page import document, escape, section, table

from .run_curves import STEP, held_out_names, points
from .run_files import Row, RunFiles
from .run_page import flat

_STYLE = """
table td,table th{white-space:normal;overflow-wrap:anywhere}.scroll{overflow-x:auto}.scroll table{min-width:480px}
"""

Points = list[tuple[float, float]]


def comparison(runs: Sequence[RunFiles]) -> str:
    """The page of at least two runs; differences are from the first."""
    names = labels(runs)
    over = _x(runs)
    sections = [
        section(html(Both("Beside each other", "并列")), _summary(runs, names)),
        section(html(Both("Held-out loss", "留出损失")), _held_out(runs, names, over)),
        section(html(Both("Training loss", "训练损失")), _training(runs, names, over, "loss", log=True)),
        section(html(Both("Gradient, rate and speed", "梯度、学习率与速度")), _rest(runs, names, over)),
        section(html(Both("Configured otherwise", "配置上的不同")), _configured(runs, names)),
    ]
    about = " · ".join(escape(name) for name in names)
    first = escape(names[0])
    differences = html(Both("differences are from", "差值相对于"))
    return document(
        Both("Runs", "训练对比"), f"{about} · {differences} <b>{first}</b>", sections, style=_STYLE
    )


def labels(runs: Sequence[RunFiles]) -> list[str]:
    """A name for each: the run's, with as much of its folder as tells it from others."""
    names = [run.name for run in runs]
    folders = [str(run.folder) for run in runs]
    found = [
        name if names.count(name) == 1 else f"{name} ({folder})"
        for name, folder in zip(names, folders, strict=True)
    ]
    return [name if found.count(name) == 1 else f"{name} #{place + 1}" for place, name in enumerate(found)]


class _Over:
    """What the x-axis counts: steps, or tokens where a step means another number of tokens in each run."""

    def __init__(self, axis: Axis, sizes: Sequence[float]) -> None:
        self.axis, self._sizes = axis, sizes

    def __call__(self, place: int, found: Points) -> Points:
        return [(step * self._sizes[place], value) for step, value in found]


def _x(runs: Sequence[RunFiles]) -> _Over:
    sizes = [_tokens_per_step(run) for run in runs]
    if len(set(sizes)) == 1 or not all(sizes):
        return _Over(STEP, [1.0] * len(runs))
    return _Over(Axis(Both("raw tokens learned from", "已学习的原始词元"), short=number), sizes)


def _tokens_per_step(run: RunFiles) -> float:
    """0 if unknown."""
    for row in reversed(run.training):
        if row.step and math.isfinite(row.values.get("tokens", math.nan)):
            return row.values["tokens"] / row.step
    return 0.0


def _pair(
    title: Any,
    unit: Any,
    curves: Sequence[tuple[int, Points]],
    names: Sequence[str],
    over: _Over,
    log: bool = False,
) -> str:
    """The curves, and below them their differences from the first run's."""
    drawn = [Curve(names[place], over(place, found), colour=place) for place, found in curves if found]
    out = chart(title, drawn, over.axis, Axis(unit), log=log)
    base = next((over(place, found) for place, found in curves if place == 0 and found), None)
    if base is None:
        return out
    gaps = [
        Curve(names[place], gap, colour=place)
        for place, found in curves
        if place and found and (gap := difference(over(place, found), base))
    ]
    return out + chart(Both(f"… minus {names[0]}", f"……减去 {names[0]}"), gaps, over.axis, Axis(unit))


def difference(curve: Points, base: Points) -> Points:
    """curve - base at the points of curve, base taken in straight lines between its points; only where both are."""
    found: Points = []
    known = [(x, y) for x, y in base if math.isfinite(y)]
    place = 0
    for x, y in curve:
        if not known or not known[0][0] <= x <= known[-1][0] or not math.isfinite(y):
            continue
        while place + 1 < len(known) and known[place + 1][0] <= x:
            place += 1
        left, low = known[place]
        right, high = known[min(place + 1, len(known) - 1)]
        there = low if right == left else low + (high - low) * (x - left) / (right - left)
        found.append((x, y - there))
    return found


def _held_out(runs: Sequence[RunFiles], names: Sequence[str], over: _Over) -> str:
    nats = Both("nats per prediction", "每个预测的纳特数")
    out = []
    for name in dict.fromkeys(name for run in runs for name in held_out_names(run)):
        curves = [(place, points(run.held_out, name)) for place, run in enumerate(runs)]
        out.append(_pair(name, nats, curves, names, over, log=True))
    return "".join(out)


def _training(runs: Sequence[RunFiles], names: Sequence[str], over: _Over, name: str, log: bool) -> str:
    unit: Any = Both("nats per prediction", "每个预测的纳特数") if name == "loss" else ""
    curves = [(place, points(run.training, name)) for place, run in enumerate(runs)]
    return _pair(name, unit, curves, names, over, log)


def _rest(runs: Sequence[RunFiles], names: Sequence[str], over: _Over) -> str:
    rows = (
        ("grad_norm", Both("Norm of the gradient", "梯度范数"), True),
        ("lr", Both("Learning rate", "学习率"), False),
        ("tokens_per_second", Both("Tokens per second", "每秒词元数"), False),
    )
    out = []
    for name, title, log in rows:
        curves = [
            Curve(names[place], over(place, points(run.training, name)), colour=place)
            for place, run in enumerate(runs)
        ]
        out.append(chart(title, curves, over.axis, Axis(name), log=log))
    return "".join(out)


def _summary(runs: Sequence[RunFiles], names: Sequence[str]) -> str:
    """A column a run."""
    held_out = list(dict.fromkeys(name for run in runs for name in held_out_names(run)))
    rows = [
        [html(Both("steps", "步数")), *(f"{run.done:,}" for run in runs)],
        [html(Both("tokens", "词元")), *(_last(run.training, "tokens", number) for run in runs)],
        [
            html(Both("training loss", "训练损失")),
            *(_last(run.training, "loss", "{:.4f}".format) for run in runs),
        ],
    ]
    for name in held_out:
        best = [_best(run.held_out, name) for run in runs]
        first = best[0]
        cells = []
        for place, value in enumerate(best):
            gap = f" ({value - first:+.4f})" if place and value is not None and first is not None else ""
            cells.append("" if value is None else f"{value:.4f}{gap}")
        rows.append([html(Both(f"best {name}", f"{name} 最低值")), *cells])
    speeds = [_last(run.training, "tokens_per_second", number) for run in runs]
    rows.append([html(Both("tokens/s, last report", "词元/秒（最近一次报告）")), *speeds])
    return f'<div class="scroll">{table(["", *map(escape, names)], rows)}</div>'


def _last(rows: Sequence[Row], name: str, show: Any) -> str:
    known = [row.values[name] for row in rows if math.isfinite(row.values.get(name, math.nan))]
    return show(known[-1]) if known else ""


def _best(rows: Sequence[Row], name: str) -> float | None:
    return min(
        (row.values[name] for row in rows if math.isfinite(row.values.get(name, math.nan))), default=None
    )


def _configured(runs: Sequence[RunFiles], names: Sequence[str]) -> str:
    """Keys that are not the same in all runs."""
    configs = [dict(flat(run.config)) for run in runs]
    rows = []
    for key in dict.fromkeys(key for config in configs for key in config):
        values = [_shown(config.get(key, "")) for config in configs]
        if len(set(values)) > 1:
            rows.append([escape(key), *map(escape, values)])
    return (
        f'<div class="scroll">{table([html(Both("key", "键")), *map(escape, names)], rows)}</div>'
        if rows
        else ""
    )


def _shown(value: Any) -> str:
    try:
        return value if isinstance(value, str) else orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError):
        return repr(value)
