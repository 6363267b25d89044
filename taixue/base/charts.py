"""Charts as inline SVG: no script, no font, no picture from elsewhere."""

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH = 720
_ROW = 24
_LABEL = 190


def bars(values: Mapping[str, float], unit: str = "", shade: str = "a") -> str:
    """Horizontal bars with a label on the left and the number behind each."""
    if not values:
        return "<p class=none>nothing to show</p>"
    most = max(values.values()) or 1
    room = _WIDTH - _LABEL - 130
    parts = []
    for k, (name, value) in enumerate(values.items()):
        top = k * _ROW
        width = max(room * value / most, 1)
        parts.append(
            f'<text x="{_LABEL - 8}" y="{top + 16}" class=label>{escape(_short(name))}<title>{escape(name)}</title>'
            f'</text><rect x="{_LABEL}" y="{top + 4}" width="{width:.1f}" height="16" class={shade} rx="2"/>'
            f'<text x="{_LABEL + width + 6:.1f}" y="{top + 16}" class=number>{number(value)}{unit}</text>'
        )
    return _svg(len(values) * _ROW + 4, parts)


def flow(rows: Sequence[tuple[str, float, float]], unit: str) -> str:
    """What is left after each step (name, left, removed): a bar of what came in, the removed part in another colour."""
    most = max((left + removed for _, left, removed in rows), default=0) or 1
    room = _WIDTH - _LABEL - 200
    parts = []
    for k, (name, left, removed) in enumerate(rows):
        top = k * (_ROW + 6)
        kept, lost = room * left / most, room * removed / most
        share = removed / (left + removed) if left + removed else 0
        note = f"{number(left)}{unit}" + (f", −{number(removed)}{unit} ({share:.1%})" if removed else "")
        parts.append(
            f'<text x="{_LABEL - 8}" y="{top + 18}" class=label>{escape(_short(name))}</text>'
            f'<rect x="{_LABEL}" y="{top + 4}" width="{kept:.1f}" height="20" class=a rx="2"/>'
            f'<rect x="{_LABEL + kept:.1f}" y="{top + 4}" width="{lost:.1f}" height="20" class=lost rx="2"/>'
            f'<text x="{_LABEL + kept + lost + 6:.1f}" y="{top + 18}" class=number>{note}</text>'
        )
    return _svg(len(rows) * (_ROW + 6) + 4, parts)


def histogram(edges: Sequence[float], counts: Sequence[int], label: str) -> str:
    """Upright bars over bins whose lower edges are given; the last bin is open. Empty bins at the end are left out."""
    last = max((k for k, count in enumerate(counts) if count), default=0)
    counts = counts[: last + 1]
    most = max(counts, default=0) or 1
    height, step = 150, min(44.0, (_WIDTH - 40) / max(len(counts), 1))
    parts = []
    for k, count in enumerate(counts):
        tall = height * count / most
        left = 20 + k * step
        parts.append(
            f'<rect x="{left:.1f}" y="{height - tall + 18:.1f}" width="{step - 3:.1f}" height="{tall:.1f}" class=a>'
            f"<title>{number(edges[k])} and more {escape(label)}: {count:,}</title></rect>"
            f'<text x="{left + step / 2 - 1:.1f}" y="{height + 34}" class=tick>{number(edges[k])}</text>'
        )
        if count:
            parts.append(
                f'<text x="{left + step / 2 - 1:.1f}" y="{height - tall + 13:.1f}" class=tick>{number(count)}</text>'
            )
    parts.append(f'<text x="20" y="{height + 54}" class=axis>{escape(label)} (lower edge of each bin)</text>')
    return _svg(height + 62, parts)


def number(value: float) -> str:
    """Short, for people: 12.3 M."""
    for size, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            scale = 1e3 if name == " k" else size
            return f"{value / scale:,.1f}{name}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _short(name: str) -> str:
    return name if len(name) <= 27 else name[:26] + "…"


def _svg(height: float, parts: list[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img">{"".join(parts)}</svg>'
