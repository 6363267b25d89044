"""logs/rank-N.log in the run folder: what each rank had to say, with the time in UTC, whatever launched it.

Every start adds to it: where the rank is, its messages and those of libraries, the traceback of an error, and of every
thread when the process dies of a signal such as SIGSEGV. A log that cannot be written ends no run.
"""

import faulthandler
import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from taixue.base import UserError

log = logging.getLogger("taixue")

LOGS = "logs"


def log_path(folder: Path, rank: int) -> Path:
    """That of a rank, in the folder of its run."""
    return folder / LOGS / f"rank-{rank}.log"


@contextmanager
def rank_log(folder: Path, rank: int, world: int, device: str) -> Iterator[None]:
    """Inside, what is logged on this rank goes to its file, too; an error that leaves is in it."""
    path = log_path(folder, rank)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _Lines(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        log.warning("%s cannot be written (%s): training goes on without it", path, error)
        yield
        return
    root = logging.getLogger()
    places = (root,) if log.propagate else (log, root)
    for place in places:
        place.addHandler(handler)
    dumps = not faulthandler.is_enabled()  # who has enabled it already wants the tracebacks elsewhere
    if dumps and handler.stream is not None:
        faulthandler.enable(handler.stream.fileno())
    try:
        where = f"rank {rank} of {world} on {platform.node()}, process {os.getpid()}, {device}"
        handler.add(logging.INFO, f"start: {where}")
        yield
        handler.add(logging.INFO, "end")
    except UserError as error:
        handler.add(logging.ERROR, str(error))
        raise
    except BaseException as error:
        handler.add(logging.ERROR, f"{type(error).__name__}: {error}", error)
        raise
    finally:
        if dumps:
            faulthandler.disable()
        for place in places:
            place.removeHandler(handler)
        with suppress(OSError):
            handler.close()


class _Lines(logging.FileHandler):
    """Appends "2026-11-28T16:45:04.123Z LEVEL message"; further lines of a message are indented. A full disk is
    silent here: the run's own files tell of it."""

    def __init__(self, path: Path, encoding: str, errors: str) -> None:
        super().__init__(path, encoding=encoding, errors=errors)
        formatter = logging.Formatter(
            "%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).rstrip("\n").replace("\n", "\n    ")

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def add(self, level: int, message: str, error: BaseException | None = None) -> None:
        """A line of the log's own, which no console shows."""
        information = None if error is None else (type(error), error, error.__traceback__)
        self.handle(logging.LogRecord("taixue", level, "", 0, message, None, information))
