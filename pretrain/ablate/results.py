"""What an ablation found: a table on the terminal, and a page with the numbers of every seed."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

_STYLE = """body{font:15px/1.5 system-ui,"Noto Sans CJK SC",sans-serif;max-width:860px;margin:28px auto;padding:0 20px}
table{border-collapse:collapse}td,th{padding:4px 12px;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto}svg text{font-size:12px}
.plain{fill:#7a869a}.knowledge{fill:#1f6feb}.clear{font-weight:600}"""
_NAMES = {"accuracy": "accuracy %", "loss": "nats/token"}
_HEADINGS = ("probe (cases)", "measure", "plain", "knowledge", "difference")
_CHID = (
    "Accuracy: every token of the unit is the first choice; of chid: the right idiom of seven, chance 14.3 %."
)
_T_95 = (
    12.71,
    4.30,
    3.18,
    2.78,
    2.57,
    2.45,
    2.36,
    2.31,
    2.26,
)  # Student's t, two-sided, from 1 degree of freedom


def show(facts: Mapping[str, Any], folder: Path) -> None:
    """Print the table; * marks differences whose 95 % interval leaves 0 out."""
    console = Console()
    table = Table(
        title=f"{facts['run']}: {facts['steps']} steps, {facts['seeds']} seeds, mean ± standard deviation",
        box=SIMPLE,
        pad_edge=False,
    )
    for number, heading in enumerate(_HEADINGS):
        table.add_column(heading, justify="left" if number < 2 else "right", no_wrap=True)
    for row in _rows(facts):
        table.add_row(*row)
    console.print(table)
    console.print("differences: ± standard error, seed by seed; * the 95 % interval leaves 0 out")
    console.print(_CHID)
    console.print(f"{folder / 'ablation.html'}, ablation.json", soft_wrap=True)


def page(facts: Mapping[str, Any]) -> str:
    """The same as one HTML file, with a plot of every seed."""
    head = "".join(f"<th>{name}</th>" for name in _HEADINGS)
    body = "".join(
        f"<tr{' class=clear' if row[-1].endswith('*') else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in _rows(facts)
    )
    plots = "".join(f"<h2>{_NAMES[measure]}</h2>{_plot(facts, measure)}" for measure in _NAMES)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(facts["run"])}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(facts['run'])}: plain and knowledge masks</h1>"
        f"<p>{facts['steps']} steps, {facts['seeds']} seeds; mean ± standard deviation over the seeds. Differences "
        f"are taken seed by seed, ± standard error; * and bold: their 95 % interval (Student's t) leaves 0 out. "
        f"{_CHID}</p>"
        f"<table><tr>{head}</tr>{body}</table>{plots}</body></html>\n"
    )


def _rows(facts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for kind, measures in facts["results"].items():
        for measure, by_variant in measures.items():
            unit = 100 if measure == "accuracy" else 1
            found = facts["differences"][kind][measure]
            gap, error = found["mean"] * unit, found["standard_error"] * unit
            cells = [
                f"{mean(values) * unit:.2f} ± {stdev(values) * unit:.2f}" for values in by_variant.values()
            ]
            threshold = _T_95[min(facts["seeds"] - 1, len(_T_95)) - 1]
            clear = " *" if abs(gap) > threshold * error else ""
            name = f"{kind} ({facts['cases'][kind]})"
            rows.append((name, _NAMES[measure], *cells, f"{gap:+.2f} ± {error:.2f}{clear}"))
    return rows


def _plot(facts: Mapping[str, Any], measure: str) -> str:
    """A line for each probe: a dot for each seed, plain above knowledge."""
    probes = {kind: measures[measure] for kind, measures in facts["results"].items()}
    most = max(value for by_variant in probes.values() for values in by_variant.values() for value in values)
    parts = []
    for k, (kind, by_variant) in enumerate(probes.items()):
        top = 24 + 44 * k
        parts.append(f'<text x="8" y="{top + 12}">{escape(kind)}</text>')
        for line, (variant, values) in enumerate(by_variant.items()):
            y = top + 16 * line
            parts.append(f'<line x1="140" x2="760" y1="{y}" y2="{y}" stroke="#eee"/>')
            for value in values:
                x = 140 + 620 * value / (most or 1)
                title = f"<title>{variant} {value:.4f}</title>"
                parts.append(f'<circle cx="{x:.1f}" cy="{y}" r="5" class={variant}>{title}</circle>')
    scale = most * (100 if measure == "accuracy" else 1)
    height = 24 + 44 * len(probes)
    parts.append(f'<text x="140" y="{height}">0</text><text x="720" y="{height}">{scale:.2f}</text>')
    return f'<svg viewBox="0 0 780 {height + 8}" role="img">{"".join(parts)}</svg>'
