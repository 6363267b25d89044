"""Bars as an SVG file: one group per case, one bar per rival."""

from collections.abc import Mapping
from html import escape

WIDTH, LABEL, BAR, GAP = 900, 260, 16, 14
OURS, THEIRS = "#1f6f8b", "#c9b79c"


def bars(title: str, unit: str, groups: Mapping[str, Mapping[str, float]], ours: str) -> str:
    """An SVG document. groups: case -> rival -> value; rivals whose name begins with `ours` are in another colour."""
    largest = max((value for group in groups.values() for value in group.values()), default=1.0) or 1.0
    lines, y = [], 56
    for case, group in groups.items():
        lines.append(_text(12, y, case, "bold"))
        y += BAR + 4
        for rival, value in group.items():
            length = (WIDTH - LABEL - 110) * value / largest
            colour = OURS if rival.startswith(ours) else THEIRS
            lines.append(_text(24, y, rival))
            lines.append(
                f'<rect x="{LABEL}" y="{y - BAR + 4}" width="{length:.1f}" height="{BAR - 3}" fill="{colour}"/>'
            )
            lines.append(_text(LABEL + length + 6, y, f"{value:,.3g} {unit}"))
            y += BAR + 2
        y += GAP
    size = f'width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    background = f'<rect width="{WIDTH}" height="{y}" fill="white"/>'
    return "\n".join([head, background, _text(12, 26, title, "bold"), *lines, "</svg>", ""])


def _text(x: float, y: float, text: str, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y}" font-weight="{weight}">{escape(text)}</text>'
