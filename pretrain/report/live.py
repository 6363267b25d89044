"""A run's page while it runs: made again every so often by rank 0, never for more than a hundredth of the time."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from taixue.base import files

from ..observe.config import Record
from ..run.contents import PAGE
from .run_files import read_run
from .run_page import page

log = logging.getLogger("taixue")

EVERY_SECONDS = 10.0
SHARE = 0.01
"""Of the time, at most, that pages may take."""


class RunPage:
    """A sink that makes the page of the run in `folder` when it is time, from the files that are there."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._next = folder, 0.0

    def write(self, record: Record) -> None:
        began = perf_counter()
        if began < self._next:
            return
        try:
            write_page(self._folder)
        finally:
            now = perf_counter()
            self._next = now + max(EVERY_SECONDS, (now - began) / SHARE)

    def close(self) -> None:
        """The last page is made when the history says how the start ended: live_page."""


def write_page(folder: Path) -> None:
    """Replace the run's page by one of what its files say now."""
    files.write(folder / PAGE, page(read_run(folder)).encode("utf-8", "replace"))


@contextmanager
def live_page(folder: Path, is_main: bool) -> Iterator[None]:
    """On leaving, however, the page is made once more. A page that cannot be made ends nothing."""
    try:
        yield
    finally:
        if is_main:
            try:
                write_page(folder)
            except Exception as error:
                log.warning("%s cannot be written (%s: %s)", folder / PAGE, type(error).__name__, error)
