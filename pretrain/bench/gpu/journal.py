"""What the acceptance run finds, a JSON line each, written at once: a machine that vanishes leaves what was done."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = "results.jsonl"

PASSED, FAILED, KILLED, LEFT_OUT = "passed", "FAILED", "KILLED", "left out"
"""How a step ends; killed: at its time limit."""


@dataclass(frozen=True)
class Figure:
    """One thing that was measured. limit and ok: of what is asserted, None otherwise."""

    step: str
    what: str
    value: float | str
    unit: str = ""
    limit: float | None = None
    ok: bool | None = None


@dataclass(frozen=True)
class End:
    """How a step ended. last: the last lines of its log, where it failed. switches: what was set to save it."""

    step: str
    status: str
    seconds: float = 0.0
    last: tuple[str, ...] = ()
    switches: str = ""


class Journal:
    """The file, to append to from any process and to read."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def begin(self) -> None:
        """An empty file, in a folder that is there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")

    def write(self, line: Figure | End) -> None:
        """Append and sync. One write of a whole line: processes do not mix."""
        content = json.dumps({type(line).__name__: asdict(line)}, ensure_ascii=False) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, content.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self) -> Iterator[Figure | End]:
        """All whole lines, in order."""
        for line in self.path.read_text(encoding="utf-8").splitlines():
            ((kind, values),) = json.loads(line).items()
            if kind == "Figure":
                yield Figure(**values)
            else:
                yield End(**values | {"last": tuple(values["last"])})


@dataclass(frozen=True)
class Bench:
    """What a step is given. out: what is kept; work: what is not. demo: folder with `tokenizer` and `corpus`.

    dry: toy sizes on the CPU. fresh: new interpreters instead of forked ones. kernels, micro, compiled: switches that
    may save a step that failed; micro 0: as planned.
    """

    step: str
    out: Path
    work: Path
    demo: Path
    dry: bool
    fresh: bool = False
    kernels: str = "auto"
    micro: int = 0
    compiled: bool = True

    @property
    def device(self) -> str:
        return "cpu" if self.dry else "cuda"

    def figure(self, what: str, value: float | str, unit: str = "") -> None:
        """Write down what was measured."""
        self._write(what, value, unit, None, None)

    def at_most(self, what: str, value: float, limit: float, unit: str = "") -> None:
        """Write it down and assert it; a NaN fails. The step goes on, and fails at its end."""
        self._write(what, value, unit, limit, value <= limit)

    def holds(self, what: str, found: bool, value: float | str = "") -> None:
        """Write down whether something is so, and assert it."""
        self._write(what, value or ("yes" if found else "NO"), "", None, found)

    def _write(self, what: str, value: Any, unit: str, limit: float | None, ok: bool | None) -> None:
        Journal(self.out).write(Figure(self.step, what, value, unit, limit, ok))

    def failed(self) -> list[Figure]:
        """What was asserted in this step and is not so."""
        lines = Journal(self.out).read()
        return [
            line for line in lines if isinstance(line, Figure) and line.step == self.step and line.ok is False
        ]
