"""Results of the bench: rows, a table for people, JSON for programs."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from taixue.base import files


@dataclass(frozen=True)
class Row:
    """One measurement. seconds: CPU, of which start_up do not grow with the input; peak_mb: resident, 0 when unknown.

    A row without seconds was not measured; note says why.
    """

    group: str
    name: str
    megabytes: float = 0.0
    seconds: float = 0.0
    start_up: float = 0.0
    peak_mb: float = 0.0
    note: str = ""

    @property
    def speed(self) -> float:
        """MB/s per core, everything counted."""
        return self.megabytes / self.seconds if self.seconds else 0.0

    @property
    def net(self) -> float:
        """MB/s per core without start-up: what a long run comes to."""
        left = self.seconds - self.start_up
        return self.megabytes / left if left > 0 else 0.0


@dataclass
class Results:
    """Everything of one run."""

    file: dict[str, Any]
    machine: str
    rows: list[Row] = field(default_factory=list)
    where: dict[str, float] = field(default_factory=dict)
    recall: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """As JSON."""
        rows = [asdict(row) | {"speed": row.speed, "net": row.net} for row in self.rows]
        content = {"format": "taixue-bench-corpus", "version": 1, **vars(self), "rows": rows}
        files.write(path, files.readable_json(content))

    def show(self, console: Console) -> None:
        """For people."""
        planted = f", {self.file['planted']:,} of them planted" if self.file["planted"] else ""
        console.print(
            f"{self.file['path']}: {self.file['documents']:,} documents{planted}, "
            f"{self.file['megabytes']:.1f} MB of text; {self.machine}",
            soft_wrap=True,
        )
        console.print(self._speeds())
        if self.where:
            console.print(self._where())
        for line in self._recall():
            console.print(line, soft_wrap=True)

    def _speeds(self) -> Table:
        table = Table(title="MB of UTF-8 per CPU-second (= MB/s per core)")
        table.add_column("what", no_wrap=True)
        for name in ("MB", "CPU s", "start-up s", "MB/s", "MB/s net", "peak MB"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("")
        group = ""
        for row in self.rows:
            if row.group != group:
                group = row.group
                table.add_section()
                table.add_row(f"[bold]{group}")
            if not row.seconds:
                table.add_row(f"  {row.name}", *[""] * 6, row.note)
                continue
            table.add_row(
                f"  {row.name}",
                f"{row.megabytes:.1f}",
                f"{row.seconds:.2f}",
                f"{row.start_up:.2f}" if row.start_up else "",
                _speed(row.speed),
                _speed(row.net) if row.start_up else "",
                f"{row.peak_mb:,.0f}" if row.peak_mb else "",
                row.note,
            )
        return table

    def _where(self) -> Table:
        total = sum(self.where.values())
        table = Table(title=f"where the {total:.1f} CPU-s of an annotated build go, by module of data_tools")
        for name in ("module", "CPU s", "share", "MB/s of it alone"):
            table.add_column(name, justify="left" if name == "module" else "right")
        small = 0.0
        for name, seconds in sorted(self.where.items(), key=lambda item: -item[1]):
            if seconds < 0.01 * total:
                small += seconds
                continue
            self._add(table, name, seconds, total)
        self._add(table, "everything else", small, total)
        return table

    def _add(self, table: Table, name: str, seconds: float, total: float) -> None:
        speed = _speed(self.file["megabytes"] / seconds) if seconds else ""
        table.add_row(name, f"{seconds:.2f}", f"{seconds / total:.1%}", speed)

    def _recall(self) -> list[str]:
        found = self.recall
        if not found:
            return []
        lines = [
            f"planted copies with Jaccard {name}: {entry['joined']:,} of {entry['planted']:,} joined"
            + (f" ({entry['joined'] / entry['planted']:.2%})" if entry["planted"] else "")
            for name, entry in found["by_jaccard"].items()
        ]
        lines.append(
            f"{found['removed']:,} documents removed, {found['by_chance']:,} of them for no planted copy; of these, "
            f"{found['wrongly_removed']:,} are not like any other at 0.5 (brute force)"
        )
        return lines


def _speed(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
