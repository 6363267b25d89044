"""Curves of numbers over steps or time, as inline SVG in a figure with a legend: charts.py is for counts and shares.

A curve of more points than the picture has columns is drawn as the mean of each column in a band from its smallest to
its largest value: nothing is left out unseen. Colours are the page's. Pointing at a column, or touching it, shows its
values; a figure without any script has them as tooltips.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from .charts import number
from .language import Both, Text, html, svg

Point = tuple[float, float]

MARK = '<figure class="curves">'
PALETTE = ("a", "lost", "b", "c", "d", "e", "f")
STYLE = (
    "".join(f".k{place}{{--k:var(--{name})}}" for place, name in enumerate(PALETTE))
    + """
.abandoned{--k:var(--soft)}figure.curves{margin:10px 0 4px}figure.curves h3{margin:8px 0 2px}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;color:var(--soft)}
.legend i{display:inline-block;width:16px;height:0;border-top:3px solid var(--k);margin-right:5px;vertical-align:middle}
.legend i.dashed{border-top-style:dashed}.legend label{margin-left:auto;cursor:pointer;white-space:nowrap}
figure.curves output{display:block;min-height:1.5em;font-size:12px;color:var(--soft);
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
figure.curves .drawn{fill:none;stroke:var(--k);stroke-width:1.8;stroke-linejoin:round}
figure.curves .dashed{stroke-dasharray:5 4}figure.curves .band{fill:var(--k);opacity:.2}
figure.curves .dot{fill:var(--k)}figure.curves .abandoned{opacity:.55}
figure.curves .grid{stroke:var(--line)}figure.curves .mark{stroke:var(--soft);stroke-dasharray:2 3}
figure.curves .alarm{fill:var(--lost);stroke:none}figure.curves .span{fill:var(--a)}
figure.curves .bad{fill:var(--lost)}figure.curves .event{stroke:var(--k);stroke-width:1.5}
figure.curves .probe{fill:transparent}figure.curves .probe:hover{fill:var(--soft);opacity:.18}
figure.curves:has(input:checked) .linear,figure.curves:not(:has(input:checked)) .log{display:none}
svg.plot text{font-size:12px}svg.plot .y{text-anchor:end}svg.plot .x{text-anchor:middle}
@media(max-width:600px){svg.plot text{font-size:21px}svg.plot .odd{display:none}}
"""
)
SCRIPT = """
for(const figure of document.querySelectorAll("figure.curves")){const out=figure.querySelector("output");
const show=event=>{const told=event.target.querySelector(":scope>title");
if(told)out.textContent=told.textContent};
figure.addEventListener("pointerover",show);figure.addEventListener("pointerdown",show)}
"""

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 84, 690, 30, 270
_HEIGHT = _BOTTOM + 54
_COLUMNS = 300
_PROBES = 120
_TICKS = 6


@dataclass(frozen=True)
class Curve:
    """points: x ascending; not finite ones are left out. abandoned: what was done again since, in grey. dashed: a
    variant of another. colour: place in PALETTE; None: its place among the curves."""

    name: str
    points: Sequence[Point]
    abandoned: bool = False
    dashed: bool = False
    colour: int | None = None


@dataclass(frozen=True)
class Axis:
    """title: what is measured, and its unit. short: a value of it, for ticks and tooltips. ends: first and last value,
    where that is not decided by what is drawn."""

    title: Text
    short: Callable[[float], str] = field(default_factory=lambda: brief)
    ends: Point | None = None


@dataclass(frozen=True)
class Mark:
    """A place on the x-axis that something happened at."""

    x: float
    what: str
    alarm: bool = False


def chart(
    title: Text, curves: Sequence[Curve], x: Axis, y: Axis, marks: Sequence[Mark] = (), log: bool = False
) -> str:
    """A figure; "" where no curve has a point. log: with a box that makes the y-axis logarithmic, where all values that
    are drawn allow it."""
    finite = [_finite(curve.points) for curve in curves]
    drawn = [curve for curve, points in zip(curves, finite, strict=True) if len(points)]
    finite = [points for points in finite if len(points)]
    if not drawn:
        return ""
    lowest, highest = (
        np.min([points.min(0) for points in finite], 0),
        np.max([points.max(0) for points in finite], 0),
    )
    across = _scale([float(lowest[0]), float(highest[0])], x.ends, _LEFT, _RIGHT)
    log = log and 0 < lowest[1] < highest[1]
    parts = [
        *_x_axis(x, across),
        *_marks(marks, across),
        f'<g class="linear">{_drawn(drawn, finite, y, across)}</g>',
    ]
    if log:
        parts.append(f'<g class="log">{_drawn(drawn, finite, y, across, log=True)}</g>')
    parts += [_y_title(y.title), *_probes(drawn, finite, x, y, across)]
    colours = _colours(drawn)
    entries = [
        f'<span><i class="{colours[place]}{" dashed" * curve.dashed}"></i>{escape(curve.name)}</span>'
        for place, curve in enumerate(drawn)
        if not curve.abandoned
    ]
    if any(curve.abandoned for curve in drawn):
        entries.append(
            f'<span><i class="abandoned"></i>{html(Both("done again since", "后来重做的部分"))}</span>'
        )
    if log:
        entries.append(f"<label><input type=checkbox> {html(Both('logarithmic', '对数'))}</label>")
    return _figure(title, entries, parts, _HEIGHT)


@dataclass(frozen=True)
class Lane:
    """A line of a time table. spans: (begin, end, what, whether it ended badly); events: when, and what."""

    name: Text
    spans: Sequence[tuple[float, float, str, bool]] = ()
    events: Sequence[tuple[float, str]] = ()


def lanes(title: Text, rows: Sequence[Lane], x: Axis) -> str:
    """A figure of what happened when, a lane each; "" where nothing has. Events of a lane that fall into one column are
    drawn once and listed together."""
    rows = [row for row in rows if row.spans or row.events]
    if not rows:
        return ""
    times = [time for row in rows for begin, end, *_ in row.spans for time in (begin, end)]
    times += [time for row in rows for time, _ in row.events]
    across = _scale(times, x.ends, _LEFT, _RIGHT)
    tall, parts = 54, []
    bottom = 4 + tall * len(rows)
    for place, row in enumerate(rows):
        top = 4 + tall * place
        parts.append(f'<text x="{_LEFT}" y="{top + 18}">{svg(row.name)}</text>')
        parts.append(f'<path d="M{_LEFT} {top + 48}H{_RIGHT}" class="grid"/>')
        for begin, end, what, bad in row.spans:
            left, right = across.place(begin), across.place(end)
            parts.append(
                f'<rect x="{left:.1f}" y="{top + 28}" width="{max(right - left, 2):.1f}" height="14" rx="2" '
                f'class="span{" bad" * bad}">'
                f"<title>{escape(what)}</title></rect>"
            )
        columns: dict[int, list[str]] = {}
        for time, what in row.events:
            columns.setdefault(round(across.place(time)), []).append(what)
        for column, told in columns.items():
            said = " · ".join(told[:8]) + (f" · +{len(told) - 8}" if len(told) > 8 else "")
            parts.append(
                f'<path d="M{column} {top + 28}V{top + 46}" class="event k1"/><rect x="{column - 3}" y="{top + 26}" '
                f'width="6" height="22" class="probe"><title>{escape(said)}</title></rect>'
            )
    parts += _x_axis(x, across, bottom)
    return _figure(title, [], parts, bottom + 54)


def _figure(title: Text, entries: Sequence[str], parts: Sequence[str], height: float) -> str:
    legend = f'<div class="legend">{"".join(entries)}</div>' if entries else ""
    drawing = f'<svg class="plot" viewBox="0 0 {_WIDTH} {height:.0f}" role="img">{"".join(parts)}</svg>'
    return f"{MARK}<h3>{html(title)}</h3>{legend}{drawing}<output></output></figure>"


@dataclass(frozen=True)
class _Scale:
    """Values from low to high lie between two places of the picture."""

    low: float
    high: float
    first: float
    last: float

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)


def _scale(values: Sequence[float], ends: Point | None, first: float, last: float) -> _Scale:
    low, high = ends or (min(values), max(values))
    low, high = min(low, *values, low), max(high, *values, high)
    if low == high:
        room = abs(low) * 0.05 or 1.0
        low, high = low - room, high + room
    return _Scale(low, high, first, last)


def _finite(points: Sequence[Point]) -> np.ndarray:
    """(N, 2)."""
    found = np.array(points, np.float64).reshape(-1, 2)
    return found[np.isfinite(found).all(1)]


def _colours(curves: Sequence[Curve]) -> list[str]:
    """The class of each curve: a colour, again from the first where there are more."""
    found, following = [], 0
    for curve in curves:
        place = following if curve.colour is None else curve.colour
        following += curve.colour is None and not curve.abandoned
        found.append("abandoned" if curve.abandoned else f"k{place % len(PALETTE)}")
    return found


@dataclass(frozen=True)
class Column:
    """Points of a curve that fall into column number `number` of a picture. x: their mean; last: the last one's."""

    number: int
    x: float
    last: float
    low: float
    mean: float
    high: float


def thinned(points: np.ndarray, low: float, high: float, columns: int) -> list[Column]:
    """Points (N, 2), x ascending from low to high, in columns of equal width, those that are not empty."""
    numbers = np.minimum(((points[:, 0] - low) / (high - low) * columns).astype(np.int64), columns - 1)
    first = np.flatnonzero(np.diff(numbers, prepend=-1))
    counts = np.diff(first, append=len(points))
    means = np.add.reduceat(points, first) / counts[:, None]
    y = points[:, 1]
    parts = (
        *(numbers[first], means[:, 0], points[first + counts - 1, 0]),
        *(np.minimum.reduceat(y, first), means[:, 1], np.maximum.reduceat(y, first)),
    )
    return [Column(*row) for row in zip(*(part.tolist() for part in parts), strict=True)]


def _each(points: np.ndarray) -> list[Column]:
    """A column for each point."""
    return [Column(number, x, x, y, y, y) for number, (x, y) in enumerate(points.tolist())]


def _drawn(
    curves: Sequence[Curve], finite: Sequence[np.ndarray], y: Axis, across: _Scale, log: bool = False
) -> str:
    """Grid, ticks and curves on one kind of y-axis."""
    bent: Callable[[float], float] = math.log10 if log else float
    columns = [
        _each(points) if len(points) <= _COLUMNS else thinned(points, across.low, across.high, _COLUMNS)
        for points in finite
    ]
    edges = [value for found in columns for column in found for value in (column.low, column.high)]
    ends = None if y.ends is None or log else y.ends
    up = _scale([bent(value) for value in edges], ends, _BOTTOM, _TOP)
    parts = []
    for tick in _log_ticks(up) if log else _ticks(up.low, up.high):
        place = up.place(bent(tick))
        parts.append(f'<path d="M{_LEFT} {place:.1f}H{_RIGHT}" class="grid"/>')
        parts.append(
            f'<text x="{_LEFT - 7}" y="{place + 4:.1f}" class="number y">{escape(y.short(tick))}</text>'
        )
    order = sorted(range(len(curves)), key=lambda place: not curves[place].abandoned)
    colours = _colours(curves)
    for which in order:
        curve, found, colour = curves[which], columns[which], colours[which]
        places = [
            (across.place(c.x), up.place(bent(c.low)), up.place(bent(c.mean)), up.place(bent(c.high)))
            for c in found
        ]
        if len(places) < len(finite[which]):
            above = [f"{x:.1f},{top:.1f}" for x, _, _, top in places]
            below = [f"{x:.1f},{bottom:.1f}" for x, bottom, _, _ in reversed(places)]
            parts.append(f'<polygon points="{" ".join(above + below)}" class="band {colour}"/>')
        path = " ".join(f"{x:.1f},{middle:.1f}" for x, _, middle, _ in places)
        parts.append(f'<polyline points="{path}" class="drawn {colour}{" dashed" * curve.dashed}"/>')
        if len(places) <= 24:
            parts += [
                f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="3" class="dot {colour}"/>'
                for x, _, middle, _ in places
            ]
    return "".join(parts)


def _x_axis(x: Axis, across: _Scale, bottom: float = _BOTTOM) -> list[str]:
    parts = [f'<path d="M{_LEFT} {bottom}H{_RIGHT}" class="frame"/>']
    for count, tick in enumerate(_ticks(across.low, across.high)):
        place = across.place(tick)
        anchor = "y" if place > _RIGHT - 24 else "x"  # at the edge a long one would be cut
        parts.append(
            f'<text x="{place:.1f}" y="{bottom + 22}" class="number {anchor}{" odd" * (count % 2)}">'
            f'{escape(x.short(tick))}</text><path d="M{place:.1f} {bottom}v5" class="frame"/>'
        )
    parts.append(f'<text x="{_RIGHT}" y="{bottom + 46}" class="number y">{svg(x.title)}</text>')
    return parts


def _y_title(title: Text) -> str:
    return f'<text x="{_LEFT}" y="18" class="number">{svg(title)}</text>'


def _marks(marks: Sequence[Mark], across: _Scale) -> list[str]:
    parts = []
    for mark in marks:
        if not across.low <= mark.x <= across.high:
            continue
        place, title = across.place(mark.x), f"<title>{escape(mark.what)}</title>"
        if mark.alarm:
            parts.append(f'<path d="M{place:.1f} {_BOTTOM - 1}l-5 -9h10z" class="alarm">{title}</path>')
        else:
            parts.append(f'<path d="M{place:.1f} {_TOP}V{_BOTTOM}" class="mark">{title}</path>')
    return parts


def _probes(
    curves: Sequence[Curve], finite: Sequence[np.ndarray], x: Axis, y: Axis, across: _Scale
) -> list[str]:
    """A rectangle over each column that has points, with what they are."""
    wide = (across.high - across.low) / _PROBES
    told: dict[int, list[tuple[float, str]]] = {}
    for curve, points in zip(curves, finite, strict=True):
        for column in thinned(points, across.low, across.high, _PROBES):
            said = y.short(column.mean)
            if column.low < column.high:
                said += f" ({y.short(column.low)} – {y.short(column.high)})"
            told.setdefault(column.number, []).append((column.last, f"{curve.name} {said}"))
    parts = []
    for place, entries in sorted(told.items()):
        left = across.place(across.low + place * wide)
        width = (_RIGHT - _LEFT) / _PROBES
        said = " · ".join([x.short(entries[0][0]), *(entry for _, entry in entries)])
        parts.append(
            f'<rect x="{left:.1f}" y="{_TOP}" width="{width:.1f}" height="{_BOTTOM - _TOP}" class="probe">'
            f"<title>{escape(said)}</title></rect>"
        )
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """Round values between two, about _TICKS of them."""
    size = 10.0 ** math.floor(math.log10((high - low) / _TICKS))
    step = next(size * factor for factor in (1, 2, 5, 10) if (high - low) / (size * factor) <= _TICKS)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(up: _Scale) -> list[float]:
    """Powers of ten between two exponents, with 2 and 5 times these where there is room."""
    factors = (1.0, 2.0, 5.0) if up.high - up.low < 3 else (1.0,)
    found = [
        factor * 10.0**power
        for power in range(math.floor(up.low), math.ceil(up.high) + 1)
        for factor in factors
        if up.low - 1e-9 <= math.log10(factor) + power <= up.high + 1e-9
    ]
    return found if len(found) > 1 else [10**value for value in _ticks(up.low, up.high)]


def brief(value: float) -> str:
    """A number in few characters: 0.0123, 12.3 k, 4e-06."""
    if value == 0:
        return "0"
    if abs(value) >= 1e4:
        return number(value)
    return f"{value:.4g}" if abs(value) >= 1e-3 else f"{value:.3g}"
