"""The acceptance run: its steps one after the other, each in a process of its own, within so many minutes."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from taixue.kernels import dispatch

from .isolate import isolated
from .journal import FAILED, KILLED, LEFT_OUT, PASSED, Bench, End, Figure, Journal
from .markdown import replace_results, write_page
from .plan import STEPS, Step

STEP_LOGS = "logs"

LONGEST_START = 120.0
"""Seconds for importing torch and transformers, once for all steps."""


def bench_gpu(
    out: Path,
    *,
    minutes: float = 8.0,
    dry_run: bool = False,
    only: Sequence[str] = (),
    demo: Path = Path("runs/demo"),
    page: Path | None = None,
    steps: Sequence[Step] = STEPS,
) -> bool:
    """Run the steps (those named in `only`), print a table, write results.jsonl, logs and gpu.md into `out`.

    minutes: everything has ended by then; what was left out is named. demo: folder with the demo's `tokenizer` and
    `corpus`; made in there when they are missing. page: a page whose results are replaced by these. Returns
    whether all steps passed.
    """
    end = time.monotonic() + 60 * minutes
    console = Console(width=None if Console().is_terminal else 140)
    journal = Journal(out)
    journal.begin()
    (out / STEP_LOGS).mkdir(exist_ok=True)
    chosen = [step for step in steps if not only or step.name in only]
    fresh = False
    isolated(_nothing, LONGEST_START, out / STEP_LOGS / "start.log")  # imports are no step's time
    with tempfile.TemporaryDirectory(prefix="taixue-bench-") as work:
        for step in chosen:
            bench = Bench(step.name, out.absolute(), Path(work), demo.absolute(), dry_run, fresh)
            attempts: list[Mapping[str, Any]] = [{}, *step.switches]
            while attempts:
                switches = attempts.pop(0)
                ended = _attempt(step, replace(bench, **switches), switches, end)
                journal.write(ended)
                console.print(_line(ended), highlight=False, markup=False)
                if ended.status == PASSED or ended.status == LEFT_OUT:
                    break
                if not fresh and any("forked subprocess" in line for line in ended.last):
                    fresh = True  # something had started CUDA before the fork: again, in a new interpreter
                    bench, attempts = replace(bench, fresh=True), [{}, *step.switches]
    lines = list(journal.read())
    console.print(_table(lines))
    write_page(out / "gpu.md", lines)
    if page is not None:
        replace_results(page, lines)
    last = {line.step: line.status for line in lines if isinstance(line, End)}
    return all(status == PASSED for status in last.values())


def _nothing() -> None:
    pass


def _attempt(step: Step, bench: Bench, switches: Mapping[str, Any], end: float) -> End:
    """Run a step once, unless there is no time for it."""
    words = ", ".join(f"{key} {value}" for key, value in switches.items())
    left = end - time.monotonic()
    if left < (min(step.seconds, 1) if bench.dry else step.seconds):
        note = f"{max(left, 0):.0f} s left, {step.seconds:.0f} wanted"
        return End(step.name, LEFT_OUT, 0.0, (note,), words)
    log = (
        bench.out
        / STEP_LOGS
        / f"{step.name.replace(' ', '-').replace(',', '')}{'-' + words.replace(' ', '-') if words else ''}.log"
    )
    environment = {"TAIXUE_KERNELS": bench.kernels}
    status, seconds, last = isolated(
        partial(_run, step, bench), min(step.limit, left), log, environment, bench.fresh
    )
    if status == 0:
        return End(step.name, PASSED, seconds, (), words)
    return End(
        step.name, KILLED if status is None else FAILED, seconds, last or (f"exit status {status}",), words
    )


def _run(step: Step, bench: Bench) -> None:
    """In the step's process. Raises AssertionError for what was asserted and is not so."""
    before = len(bench.failed())
    with dispatch.using(bench.kernels):
        step.run(bench)
    if wrong := bench.failed()[before:]:
        said = [f"{line.what}: {line.value}{_limit(line)}" for line in wrong]
        raise AssertionError("; ".join(said))


def _limit(line: Figure) -> str:
    return "" if line.limit is None else f", at most {line.limit:g}"


def _line(ended: End) -> str:
    switches = f" with {ended.switches}" if ended.switches else ""
    why = f": {ended.last[-1]}" if ended.last else ""
    return f"{ended.seconds:6.1f} s  {ended.status:<8}  {ended.step}{switches}{why}"[:400]


def _table(lines: Sequence[Figure | End]) -> Table:
    """What was measured, and what was asserted and is not so; what holds, and the profiler's kernels, are in gpu.md."""
    table = Table("step", "what", "found", title="Acceptance run", show_lines=False)
    previous = ""
    for line in lines:
        if not isinstance(line, Figure) or line.ok or line.what.startswith("kernel,"):
            continue
        if line.step != previous:
            table.add_section()
        label, previous = (line.step if line.step != previous else ""), line.step
        table.add_row(
            label,
            line.what,
            f"{line.value} {line.unit}{_limit(line)}",
            style="red" if line.ok is False else "",
        )
    return table


def listed(steps: Sequence[Step] = STEPS) -> str:
    """Every step with its seconds, its limit and what it asserts, for `--list`."""
    lines = []
    for step in steps:
        lines.append(f"{step.name}: {step.seconds:.0f} s, killed after {step.limit:.0f} s")
        lines.append(f"    {step.asserts}")
        for switches in step.switches:
            lines.append(f"    if it fails, again with {', '.join(f'{k} {v}' for k, v in switches.items())}")
    lines.append(f"in all {sum(step.seconds for step in steps):.0f} s")
    return "\n".join(lines)
