"""Charts as inline SVG: no script, no font, no picture from elsewhere.

They take their colours from the page (page.py); `standalone` makes a file of its own of one.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape

from .language import Both, Text, svg

LIGHT = {
    **{"ink": "#1d2433", "soft": "#667085", "line": "#e4e7ec", "paper": "#fff", "back": "#f5f6f8"},
    **{"a": "#2f6f9f", "b": "#7a9e3f", "lost": "#d9822b"},
    **{"c": "#b0457a", "d": "#7658b5", "e": "#1f8f86", "f": "#8c6a3a"},
}
DARK = {
    **{"ink": "#e6e9ef", "soft": "#98a2b3", "line": "#344054", "paper": "#1b2130", "back": "#12161f"},
    **{"a": "#5aa2d6", "b": "#a3c76a", "lost": "#e39b52"},
    **{"c": "#e07aab", "d": "#a78fe6", "e": "#4fc3b7", "f": "#c9a26b"},
}
STYLE = """
svg text{fill:var(--ink);font-size:13px}svg .label{text-anchor:end}svg .strong{font-weight:600}
svg .number,svg .axis{fill:var(--soft)}svg .tick{text-anchor:middle;font-size:11px;fill:var(--soft)}
svg .a{fill:var(--a)}svg .b{fill:var(--b)}svg .lost{fill:var(--lost)}
svg .frame{fill:none;stroke:var(--line)}svg .curve{fill:none;stroke:var(--a);stroke-width:1.5}
"""
_WIDTH = 720
_ROW = 24
_LABEL = 190
_WIDE_LABEL = 250
_TITLE = 36


def bars(values: Mapping[Text, float] | Mapping[str, float], unit: str = "", shade: str = "a") -> str:
    """Horizontal bars with a label on the left and the number behind each."""
    if not values:
        return '<p class="none">nothing to show</p>'
    most = max(values.values()) or 1
    room = _WIDTH - _LABEL - 130
    parts = []
    for k, (name, value) in enumerate(values.items()):
        top = k * _ROW
        width = max(room * value / most, 1)
        short = Both(*map(_short, name)) if isinstance(name, Both) else _short(name)
        whole = " ".join(name) if isinstance(name, Both) else name
        parts.append(
            f'<text x="{_LABEL - 8}" y="{top + 16}" class="label">{svg(short)}<title>{escape(whole)}</title>'
            f'</text><rect x="{_LABEL}" y="{top + 4}" width="{width:.1f}" height="16" class="{shade}" rx="2"/>'
            f'<text x="{_LABEL + width + 6:.1f}" y="{top + 16}" class="number">{number(value)}{unit}</text>'
        )
    return _svg(len(values) * _ROW + 4, parts)


def flow(rows: Sequence[tuple[str, float, float]], unit: str) -> str:
    """What is left after each step (name, left, removed): a bar of what came in, the removed part in another colour."""
    most = max((left + removed for _, left, removed in rows), default=0) or 1
    room = _WIDTH - _LABEL - 270
    parts = []
    for k, (name, left, removed) in enumerate(rows):
        top = k * (_ROW + 6)
        kept, lost = room * left / most, room * removed / most
        share = removed / (left + removed) if left + removed else 0
        note = amount(left, unit) + (f", −{amount(removed, unit)} ({share:.1%})" if removed else "")
        parts.append(
            f'<text x="{_LABEL - 8}" y="{top + 18}" class="label">{escape(_short(name))}</text>'
            f'<rect x="{_LABEL}" y="{top + 4}" width="{kept:.1f}" height="20" class="a" rx="2"/>'
            f'<rect x="{_LABEL + kept:.1f}" y="{top + 4}" width="{lost:.1f}" height="20" class="lost" rx="2"/>'
            f'<text x="{_LABEL + kept + lost + 6:.1f}" y="{top + 18}" class="number">{note}</text>'
        )
    return _svg(len(rows) * (_ROW + 6) + 4, parts)


def histogram(edges: Sequence[float], counts: Sequence[int], label: Text) -> str:
    """Upright bars over bins whose lower edges are given; the last bin is open. Empty bins at the end are left out."""
    last = max((k for k, count in enumerate(counts) if count), default=0)
    counts = counts[: last + 1]
    most = max(counts, default=0) or 1
    english = label.en if isinstance(label, Both) else label
    edge = f"{english} (lower edge of each bin)"
    axis = Both(edge, f"{label.zh}（各柱的下界）") if isinstance(label, Both) else edge
    height, step = 150, min(44.0, (_WIDTH - 40) / max(len(counts), 1))
    parts = []
    for k, count in enumerate(counts):
        tall = height * count / most
        left = 20 + k * step
        parts.append(
            f'<rect x="{left:.1f}" y="{height - tall + 18:.1f}" width="{step - 3:.1f}" height="{tall:.1f}" class="a">'
            f"<title>{number(edges[k])} and more {escape(english)}: {count:,}</title></rect>"
            f'<text x="{left + step / 2 - 1:.1f}" y="{height + 34}" class="tick">{number(edges[k])}</text>'
        )
        if count:
            parts.append(
                f'<text x="{left + step / 2 - 1:.1f}" y="{height - tall + 13:.1f}" class="tick">{number(count)}</text>'
            )
    parts.append(f'<text x="20" y="{height + 54}" class="axis">{svg(axis)}</text>')
    return _svg(height + 62, parts)


def grouped(title: str, groups: Mapping[str, Mapping[str, float]], unit: str, ours: str) -> str:
    """Horizontal bars in named groups; those whose name begins with `ours` are in another colour."""
    most = max((value for group in groups.values() for value in group.values()), default=0) or 1
    room = _WIDTH - _WIDE_LABEL - 130
    parts, top = [], _TITLE
    for heading, group in groups.items():
        parts.append(f'<text x="12" y="{top + 14}" class="strong">{escape(heading)}</text>')
        top += 22
        for name, value in group.items():
            width = max(room * value / most, 1)
            shade = "a" if name.startswith(ours) else "b"
            parts.append(
                f'<text x="24" y="{top + 13}">{escape(name)}</text>'
                f'<rect x="{_WIDE_LABEL}" y="{top + 2}" width="{width:.1f}" height="13" class="{shade}" rx="2"/>'
                f'<text x="{_WIDE_LABEL + width + 6:.1f}" y="{top + 13}" class="number">{value:,.3g} {unit}</text>'
            )
            top += 18
        top += 14
    return _svg(top, parts, title)


def line(title: str, points: Sequence[tuple[float, float]], label: str) -> str:
    """A curve through at least two points, x ascending; both axes say where they begin and end."""
    left, top, right, bottom = 56, _TITLE + 8, _WIDTH - 16, 340
    low, high = min(y for _, y in points), max(y for _, y in points)
    first, last = points[0][0], points[-1][0]
    across, up = (right - left) / (last - first), (bottom - top) / ((high - low) or 1)
    path = " ".join(f"{left + (x - first) * across:.1f},{bottom - (y - low) * up:.1f}" for x, y in points)
    parts = [
        f'<path d="M{left} {top}V{bottom}H{right}" class="frame"/><polyline points="{path}" class="curve"/>',
        f'<text x="{left}" y="{bottom + 20}">{first:.12g}</text>',
        f'<text x="{right}" y="{bottom + 20}" class="label">{escape(label)} {last:.12g}</text>',
        f'<text x="{left - 6}" y="{top + 10}" class="label">{high:.2f}</text>',
        f'<text x="{left - 6}" y="{bottom}" class="label">{low:.2f}</text>',
    ]
    return _svg(bottom + 30, parts, title)


def dots(groups: Mapping[str, Mapping[str, Sequence[float]]], scale: float = 1) -> str:
    """A line of dots for each name of each group, from 0 to the largest value; numbers are shown times scale."""
    most = max((v for group in groups.values() for values in group.values() for v in values), default=0) or 1
    left, right, top, parts = _WIDE_LABEL, _WIDTH - 20, 8, []
    for heading, group in groups.items():
        parts.append(f'<text x="8" y="{top + 12}" class="strong">{escape(heading)}</text>')
        for (name, values), shade in zip(group.items(), ("b", "a", "lost"), strict=False):
            parts.append(
                f'<text x="{left - 10}" y="{top + 12}" class="label">{escape(name)}</text>'
                f'<path d="M{left} {top + 8}H{right}" class="frame"/>'
            )
            for value in values:
                x = left + (right - left) * value / most
                parts.append(
                    f'<circle cx="{x:.1f}" cy="{top + 8}" r="5" class="{shade}">'
                    f"<title>{escape(name)}: {value * scale:,.4g}</title></circle>"
                )
            top += 20
        top += 12
    parts.append(
        f'<text x="{left}" y="{top + 6}" class="tick">0</text>'
        f'<text x="{right}" y="{top + 6}" class="tick">{most * scale:,.3g}</text>'
    )
    return _svg(top + 14, parts)


def standalone(svg: str) -> str:
    """A chart as a document of its own, in fixed colours on white."""
    style = re.sub(r"var\(--(\w+)\)", lambda found: LIGHT[found[1]], STYLE)
    head = (
        f'<style>svg{{font-family:sans-serif}}{style}</style><rect width="100%" height="100%" fill="#fff"/>'
    )
    return re.sub("<svg (.*?)>", rf'<svg xmlns="http://www.w3.org/2000/svg" \1>{head}', svg, count=1) + "\n"


def number(value: float) -> str:
    """Short, for people: 12.3 M."""
    for size, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            scale = 1e3 if name == " k" else size
            return f"{value / scale:,.1f}{name}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def amount(value: float, unit: str) -> str:
    """The same with a unit: 12.3 MB, 512 B."""
    return f"{number(value)}{unit}" if value >= 1e4 or not unit else f"{value:,.0f} {unit}"


def counted(count: int, name: str, plural: str = "") -> str:
    """A count and what is counted: 1 line, 2,000 lines. plural: where it is not the name with an s."""
    return f"{count:,} {name if count == 1 else plural or f'{name}s'}"


def _short(name: str) -> str:
    return name if len(name) <= 27 else name[:26] + "…"


def _svg(height: float, parts: list[str], title: str = "") -> str:
    heading = f'<text x="12" y="22" class="strong">{escape(title)}</text>' if title else ""
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img">{heading}{"".join(parts)}</svg>'
