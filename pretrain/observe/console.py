"""What a person sees while a run goes on: messages, a line per report, a progress bar where there is a terminal."""

import logging
import os
import time
from contextlib import suppress
from typing import Any

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from .eta import Eta, duration


class _Lasting(RichConsole):
    """A console that may go away: a closed pipe, a terminal that was hung up, a full disk. No run ends for it."""

    def on_broken_pipe(self) -> None:
        """Rich would end the process. What else writes to stderr is not to fail, either."""
        self.quiet = True
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError:
            del self._buffer[:]  # what rich would try to write again, with all that comes


STDERR = _Lasting(stderr=True, highlight=False, soft_wrap=True)
"""Shared by messages and progress bar, so that they do not write into each other."""


def show_messages(on_main: bool) -> None:
    """Send what Taixue logs to stderr, from the main rank only."""
    log = logging.getLogger("taixue")
    log.handlers = [_Messages()] if on_main else [logging.NullHandler()]
    log.setLevel(logging.INFO)
    log.propagate = False


class _Messages(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        style = (
            "red"
            if record.levelno >= logging.ERROR
            else "yellow"
            if record.levelno >= logging.WARNING
            else None
        )
        STDERR.print(f"{_clock(record.created)} {record.getMessage()}", style=style, markup=False)


def _clock(seconds: float) -> str:
    """The time of day, here."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


class Console:
    """Lines as of `line`, with the time of day before and the time left behind; on a terminal also a bar."""

    def __init__(self, name: str, steps: int, start: int, console: RichConsole | None = None) -> None:
        self._steps, self._eta = steps, Eta(steps)
        self._console = console or STDERR
        self._bar: Progress | None = None
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(*columns, console=self._console)
            self._task = self._bar.add_task(name, total=steps, completed=start)
            self._bar.start()

    def write(self, record: dict[str, Any]) -> None:
        left = self._eta.after(record)
        ending = f"  {duration(left)} left" if left and "loss" in record else ""
        said = line(record, self._steps) + ending
        self._console.print(f"{_clock(record.get('time', time.time()))} {said}", markup=False)
        if self._bar is not None:
            self._bar.update(self._task, completed=record["step"])

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def line(record: dict[str, Any], steps: int) -> str:
    """A record as one line for people."""
    parts = [f"step {record['step']}/{steps}"]
    parts += [f"{name} {value:.4f}" for name, value in record.items() if _is_loss(name, record)]
    for name, text in (
        ("grad_norm", "norm {:.3f}"),
        ("lr", "lr {:.3g}"),
        ("tokens_per_second", "{:,.0f} tokens/s"),
    ):
        if name in record:
            parts.append(text.format(record[name]))
    if "mfu" in record:
        parts.append(f"mfu {100 * record['mfu']:.1f}%")
    if "memory" in record:
        parts.append(f"{record['memory']:.1f} GiB")
    for name, text in (("evaluation_seconds", "in {:.1f} s"), ("save_seconds", "saved in {:.1f} s")):
        if name in record:
            parts.append(text.format(record[name]))
    if record.get("skipped"):
        parts.append(f"skipped (overflow), loss scale {record['loss_scale']:g}")
    return "  ".join(parts)


def _is_loss(name: str, record: dict[str, Any]) -> bool:
    if name in ("loss", "eval_loss"):
        return name == "loss" or _several("eval/", record)
    return name.startswith("eval/") or (name.startswith("loss/") and _several("loss/", record))


def _several(prefix: str, record: dict[str, Any]) -> bool:
    return sum(key.startswith(prefix) for key in record) > 1
