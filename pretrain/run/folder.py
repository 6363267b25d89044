"""The run folder: one start at a time works in it, and every rank sees the same one."""

import fcntl
import logging
import os
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch.distributed as dist

from taixue.base import UserError, files
from taixue.base.load import write_resolved
from taixue.parallel.agree import from_main, gathered

from ..config.schema import RunConfig
from .contents import CHECKPOINTS, CONFIG, PREEMPTED

log = logging.getLogger("taixue")

LOCK = "LOCK"
SIGHT_SECONDS = 60.0
"""A network file system may take this long to show one node what another has written."""


@contextmanager
def held(folder: Path, group: dist.ProcessGroup) -> Iterator[None]:
    """Inside `with`, the run folder (made if need be) is this start's alone. Rank 0 holds a lock on its file LOCK.

    Raises UserError, the same on all ranks, if another start holds it or if some ranks see another folder. Collective:
    gathers on `group`.
    """
    with ExitStack() as stack:
        holder = from_main(group, lambda: stack.enter_context(_lock(folder)))
        here = "" if _shows(folder / LOCK, holder) else f"{dist.get_rank()} (on {platform.node()})"
        blind = [place for place in gathered(group, here) if place]
        if blind:
            more = f" and {len(blind) - 4} more" if len(blind) > 4 else ""
            raise UserError(
                f"runs: the run folder {folder} of rank 0 is not what rank {', '.join(blind[:4])}{more} finds under "
                "that name: set runs to a folder on a file system that all nodes share"
            )
        yield


def claim(folder: Path, run: RunConfig) -> None:
    """Make the folder this start's own: the resolved configuration in it, no mark of an earlier stop."""
    (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    write_resolved(run, folder / CONFIG)
    (folder / PREEMPTED).unlink(missing_ok=True)


def mark_preempted(folder: Path, step: int, signal: str) -> None:
    """Say in the folder that this start has saved and left after `step` because of a signal."""
    files.write(folder / PREEMPTED, files.readable_json({"step": step, "signal": signal}))


@contextmanager
def _lock(folder: Path) -> Iterator[str]:
    """Hold the lock; what was written into it, which no other start writes. The system frees it when we die."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().partition(",")[0] or "another process"
            raise UserError(
                f"the run folder {folder} is in use by {holder}: let it finish or stop it, or give this run another "
                f"name; if that process is gone, remove {folder / LOCK}"
            ) from None
        except OSError as error:  # some network file systems know no locks
            log.warning("%s cannot be locked (%s): see to it that no other start uses it", folder, error)
        holder = f"process {os.getpid()} on {platform.node()}, start {secrets.token_hex(8)}\n"
        file.truncate(0)
        file.write(holder)
        file.flush()
        os.fsync(file.fileno())
        yield holder


def _shows(path: Path, content: str) -> bool:
    """Whether path has that content, or gets it within SIGHT_SECONDS."""
    end = time.monotonic() + SIGHT_SECONDS
    while True:
        try:
            if path.read_text(encoding="utf-8") == content:
                return True
        except (OSError, UnicodeDecodeError):
            pass
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
