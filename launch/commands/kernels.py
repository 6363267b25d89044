"""`taixue kernels`: every kernel compiled for GPUs that need not be there, and what it needs of them.

Loads: asynchronous copies and loads that wait, of each loop.
"""

import argparse
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taixue.kernels.dispatch.aot import Usage


def kernels(words: list[str]) -> int:
    """Print a table, or with --json one object a line; exit status 1 when a kernel is not as it should be."""
    from taixue.kernels.dispatch.aot import ARCHITECTURES, measure
    from taixue.kernels.optim.cases import by_nvcc

    parser = argparse.ArgumentParser("taixue kernels", description=__doc__)
    parser.add_argument("--arch", nargs="+", type=int, choices=ARCHITECTURES, default=list(ARCHITECTURES))
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="TEXT", help="kernels whose name has one of these in it"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(words)
    found = []
    for architecture in options.arch:
        for usage in chain(measure(architecture, options.only), by_nvcc(architecture, options.only)):
            found.append(usage)
            if options.json:
                _print_json(usage)
    if not options.json:
        _print_table(found)
    return 1 if any(usage.fault for usage in found) else 0


def _print_json(usage: "Usage") -> None:
    import dataclasses
    import json

    print(json.dumps(dataclasses.asdict(usage) | {"fault": usage.fault}), flush=True)


def _print_table(found: "list[Usage]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for heading in (
        "kernel",
        "sm",
        "warps",
        "registers",
        "stack B",
        "shared B",
        "HGMMA",
        "HMMA",
        "loads",
        "",
    ):
        table.add_column(heading, justify="left" if heading in ("kernel", "") else "right", no_wrap=True)
    for u in found:
        loads = " ".join(f"{copies}+{waiting}" for copies, waiting in u.loops)
        numbers = (u.architecture, u.warps, u.registers, u.stack, u.shared, u.hgmma, u.hmma, loads)
        fine = f"spills, {u.stack_limit} allowed" if u.stack else "fine"
        verdict = f"[red]{escape(u.fault)}[/]" if u.fault else f"[green]{fine}[/]"
        table.add_row(escape(u.name), *map(str, numbers), verdict)
    Console(highlight=False).print(table)
