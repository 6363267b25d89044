"""`taixue bench kernels`: every fused op, forward and backward, beside other ways to compute the same.

Each case has one set of random inputs that is larger than the caches, a count of the operations and bytes that it needs
at least, and variants of one function. The share of the roofline is the least time by the ceilings measured in the same
run over the time taken. The error is that of outputs and gradients beside the reference in fp32.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from taixue.base import files
from taixue.base.charts import grouped, standalone
from taixue.kernels import dispatch

from .clock import GIB, Ceilings, Timing, ceilings, describe, measure
from .kernel_cases import Case, all_cases

SECONDS = 0.3
"""Of measuring, for each variant."""


@dataclass
class Row:
    """One variant of one case."""

    op: str
    shape: str
    variant: str
    timing: Timing | None = None
    bandwidth: float = 0.0
    arithmetic: float = 0.0
    roofline: float = 0.0
    error: float | None = None
    note: str = ""


@dataclass
class Report:
    """All rows of a run."""

    device: str
    ceilings: Ceilings
    rows: list[Row] = field(default_factory=list)


def bench_kernels(
    out: Path, *, minutes: float = 8.0, dry_run: bool = False, ops: Sequence[str] = ()
) -> Report:
    """Measure, print a table, and write kernels.json and kernels.svg into `out`.

    minutes: no variant begins after this; what was left out is said. dry_run: tiny shapes on the CPU, our kernels in
    Triton's interpreter where triton is installed. ops: names of cases to measure, all by default.
    """
    end = time.monotonic() + 60 * minutes
    device = torch.device("cpu" if dry_run else "cuda")
    console = Console(width=None if Console().is_terminal else 160)
    report = Report(describe(device), ceilings(device, small=dry_run))
    for make in all_cases(device, small=dry_run):
        if ops and make.op not in ops:
            continue
        try:
            case = make.build()
        except torch.OutOfMemoryError:
            report.rows.append(Row(make.op, make.shape, "all", note="out of memory"))
            continue
        expected = _expected(case)
        for variant in case.variants:
            row = Row(make.op, make.shape, variant, note=case.notes.get(variant, ""))
            report.rows.append(row)
            if time.monotonic() > end:
                row.note = "left out: time is up"
                continue
            with console.status(f"{make.op} {make.shape}: {variant}"):
                _fill(row, case, expected, report.ceilings, device, 0.0 if dry_run else SECONDS)
        del case, expected
        if device.type == "cuda":
            torch.cuda.empty_cache()
    console.print(_table(report))
    _write(report, out)
    return report


def _fill(
    row: Row, case: Case, expected: list[Tensor] | None, best: Ceilings, device: torch.device, seconds: float
) -> None:
    """Measure one variant; an exception, whatever a rival raises, becomes its note."""
    try:
        work = case.variants[row.variant]()
        results = work()
        if expected is not None and row.variant not in case.other_functions:
            row.error = _error(results, expected)
        del results
        row.timing = measure(work, device, seconds)
    except Exception as error:  # a rival may be missing, refuse the input, or not compile
        row.note = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"[:70]
        return
    finally:
        torch.compiler.reset()
    taken = row.timing.milliseconds / 1e3
    row.bandwidth, row.arithmetic = case.bytes / taken, case.flops / taken
    row.roofline = best.milliseconds(case.flops, case.bytes) / row.timing.milliseconds


def _expected(case: Case) -> list[Tensor] | None:
    with dispatch.using("reference"):
        return case.exact() if case.exact is not None else None


def _error(results: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Largest relative difference of a tensor."""
    worst = 0.0
    for got, wanted in zip(results, expected, strict=True):
        difference = (got.float() - wanted).norm() / wanted.norm().clamp(min=1e-30)
        worst = max(worst, difference.item())
    return worst


def _table(report: Report) -> Table:
    best = report.ceilings
    title = f"{report.device}; copy {best.bandwidth / 1e9:,.0f} GB/s, product {best.arithmetic / 1e12:,.1f} TFLOP/s"
    table = Table(title=title)
    for name in (
        "op",
        "variant",
        "ms",
        "GB/s",
        "TFLOP/s",
        "roofline",
        "peak GiB",
        "vs eager",
        "error",
        "note",
    ):
        words = name in ("op", "variant", "note")
        table.add_column(name, justify="left" if words else "right", no_wrap=name != "note")
    eager = {
        (row.op, row.shape): row.timing.milliseconds
        for row in report.rows
        if row.timing and row.variant == "eager"
    }
    previous: tuple[str, str] = ("", "")
    for row in report.rows:
        key = (row.op, row.shape)
        if key != previous:
            table.add_section()
        label, previous = (f"{row.op} {row.shape}" if key != previous else ""), key
        cells = [label, row.variant, *_numbers(row, eager.get(key)), row.note]
        table.add_row(*cells, style="bold" if row.variant.startswith("ours") else "")
    return table


def _numbers(row: Row, eager: float | None) -> list[str]:
    if row.timing is None:
        return [""] * 7
    ratio = f"{eager / row.timing.milliseconds:.2f}x" if eager else ""
    return [
        f"{row.timing.milliseconds:.3f}",
        f"{row.bandwidth / 1e9:,.0f}",
        f"{row.arithmetic / 1e12:,.1f}",
        f"{row.roofline:.0%}",
        f"{row.timing.bytes / GIB:.2f}",
        ratio,
        "" if row.error is None else f"{row.error:.0e}",
    ]


def _write(report: Report, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = asdict(report)
    files.write(out / "kernels.json", files.readable_json(data))
    groups: dict[str, dict[str, float]] = {}
    for row in report.rows:
        if row.timing:
            groups.setdefault(f"{row.op} {row.shape}", {})[row.variant] = 100 * row.roofline
    title = f"Share of the roofline, forward and backward: {report.device}"
    files.write(out / "kernels.svg", standalone(grouped(title, groups, "%", "ours")).encode())
