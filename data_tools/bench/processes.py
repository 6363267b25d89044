"""A command in a process of its own: its CPU time and memory, all its children included."""

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from taixue.base import UserError


@dataclass(frozen=True)
class Used:
    """seconds: CPU (user and system), of a process and of every child it waited for. peak_mb: its own largest resident
    memory, 0 where /proc does not tell."""

    seconds: float
    peak_mb: float


def run(
    words: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, limit: float = 3600
) -> Used:
    """Run it to its end; output goes to log. UserError when it fails or takes longer than limit (seconds)."""
    status, used = measure(words, log, environment, limit)
    if status:
        last = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
        raise UserError(f"{words[0]} ... ended with status {status}: {' / '.join(last)[-400:]}")
    return used


def measure(
    words: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, limit: float = 3600
) -> tuple[int, Used]:
    """The exit status of a command (negative: a signal), and what it used."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env={**os.environ, **(environment or {})},
        )
        timer, peak = threading.Timer(limit, process.kill), _Peak(process.pid)
        timer.start()
        peak.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            timer.cancel()
            peak.over.set()
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, Used(usage.ru_utime + usage.ru_stime, peak.megabytes)


class _Peak(threading.Thread):
    """Looks at a process's high-water mark now and then. (rusage has that of the process it was forked from, too.)"""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self.megabytes = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.1):
            with suppress(OSError, StopIteration, ValueError):
                lines = self._status.read_text().splitlines()
                mark = next(line for line in lines if line.startswith("VmHWM:"))
                self.megabytes = int(mark.split()[1]) * 1024 / 1e6
