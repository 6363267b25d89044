"""What an ablation found: a table on the terminal, and a page with the numbers of every seed."""

from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from taixue.base.charts import dots
from taixue.base.page import document, escape, section, table

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
    shown = Table(
        title=f"{facts['run']}: {facts['steps']} steps, {facts['seeds']} seeds, mean ± standard deviation",
        box=SIMPLE,
        pad_edge=False,
    )
    for number, heading in enumerate(_HEADINGS):
        shown.add_column(heading, justify="left" if number < 2 else "right", no_wrap=True)
    for row in _rows(facts):
        shown.add_row(*row)
    console.print(shown)
    console.print("differences: ± standard error, seed by seed; * the 95 % interval leaves 0 out")
    console.print(_CHID)
    console.print(f"{folder / 'ablation.html'}, ablation.json", soft_wrap=True)


def page(facts: Mapping[str, Any]) -> str:
    """The same as one HTML file, with a plot of every seed."""
    rows = _rows(facts)
    about = (
        f"{escape(facts['run'])}: {facts['steps']} steps, {facts['seeds']} seeds; mean ± standard deviation over the "
        f"seeds. Differences are taken seed by seed, ± standard error; * and bold: their 95 % interval (Student's t) "
        f"leaves 0 out. {_CHID}"
    )
    found = table(
        _HEADINGS,
        [[escape(cell) for cell in row] for row in rows],
        bold={number for number, row in enumerate(rows) if row[-1].endswith("*")},
    )
    plots = [section(f"{name}, every seed", _plot(facts, measure)) for measure, name in _NAMES.items()]
    sections = [section("Beside each other", found), *plots]
    return document("Plain and knowledge masks", about, sections, name=facts["run"])


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
    """For each probe a dot for each seed, plain above knowledge."""
    probes = {kind: measures[measure] for kind, measures in facts["results"].items()}
    return dots(probes, scale=100 if measure == "accuracy" else 1)
