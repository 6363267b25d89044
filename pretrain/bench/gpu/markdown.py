"""A page from the results of an acceptance run: the card, how every step ended, ratios, every figure."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from .journal import PASSED, End, Figure
from .speed import MFU, OURS, SECONDS

Lines = Sequence[Figure | End]

MARK = "## Results"
"""Heading of docs/gpu.md below which the results are."""


def write_page(path: Path, lines: Lines) -> None:
    """The results as a page of their own."""
    path.write_text("\n".join(["# Results of `taixue bench gpu`\n", *_page(lines)]) + "\n", encoding="utf-8")


def replace_results(page: Path, lines: Lines) -> None:
    """Put the results below MARK in a page, in place of what is there; at its end where it has no MARK."""
    head = page.read_text(encoding="utf-8").partition(f"\n{MARK}\n")[0].rstrip() if page.exists() else "# GPU"
    page.write_text("\n".join([head, "", f"{MARK}\n", *_page(lines)]) + "\n", encoding="utf-8")


def _page(lines: Lines) -> Iterator[str]:
    figures = [line for line in lines if isinstance(line, Figure)]
    ends = [line for line in lines if isinstance(line, End)]
    found = {line.what: f"{line.value} {line.unit}".strip() for line in figures if line.step == "environment"}
    card = ", ".join(
        f"{what} {found[what]}" for what in ("card", "memory", "driver", "CUDA") if what in found
    )
    packages = ", ".join(
        f"{what} {found[what]}" for what in ("python", "torch", "triton", "transformers") if what in found
    )
    yield f"{datetime.now(UTC):%Y-%m-%d}; {card or 'card unknown'}; {packages or 'versions unknown'}.\n"
    yield "### How the steps ended\n"
    yield from _table(
        ("step", "ended", "seconds", "with"),
        [(end.step, end.status, f"{end.seconds:.1f}", end.switches) for end in ends],
    )
    for end in ends:
        if end.status != PASSED:
            yield f"#### {end.step}: {end.status}{f', with {end.switches}' if end.switches else ''}\n"
            yield "\n".join(["```text", *end.last, "```", ""])
    if speeds := _speeds(figures):
        yield "### Full training steps of T5-large, 64 samples of 512/114\n"
        yield from speeds
    yield "### Every figure\n"
    for step in dict.fromkeys(line.step for line in figures):
        yield f"#### {step}\n"
        rows = [
            (line.what, f"{line.value} {line.unit}".strip(), _asserted(line))
            for line in figures
            if line.step == step
        ]
        yield from _table(("what", "found", "asserted"), rows)


def _speeds(figures: Sequence[Figure]) -> list[str]:
    """Steps that timed full training steps: milliseconds, MFU, how many times faster ours is. Last attempts count."""
    seconds = {line.step: float(line.value) for line in figures if line.what == SECONDS}
    mfu = {line.step: float(line.value) for line in figures if line.what == MFU}
    if not seconds:
        return []
    ours = {step: value for step, value in seconds.items() if step.startswith(OURS.split(",")[0])}
    best = min(ours.values(), default=None)
    rows = []
    for step, value in seconds.items():
        ratio = f"{value / best:.2f}x" if best and step not in ours else ""
        rows.append((step, f"{value:.1f}", f"{mfu[step]:.1%}" if step in mfu else "", ratio))
    return list(_table(("step", "ms", "MFU", "our fastest is"), rows))


def _asserted(line: Figure) -> str:
    if line.ok is None:
        return ""
    said = "holds" if line.limit is None else f"at most {line.limit:g}"
    return said if line.ok else f"**NO**: {said}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        cells = (cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ") for cell in row)
        yield f"| {' | '.join(cells)} |"
    yield ""
