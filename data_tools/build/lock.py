"""One build at a time in a folder. Ranks of one build share it, so each rank holds a lock of its own, work/LOCK-<rank>,
whose content says what is built; the system frees it when the rank dies.
"""

import fcntl
import os
import platform
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from taixue.base import UserError

from ..passes.cut import WORK_FOLDER

_PATIENCE = 1.0  # seconds; others hold a lock for a moment to see whether anybody holds it


@contextmanager
def held(folder: Path, rank: int, identity: str) -> Iterator[None]:
    """Inside `with`, this process is the rank of the build `identity` in the folder, and no other build is there.

    UserError when another process is that rank, or a rank of another build is at work.
    """
    own = folder / WORK_FOLDER / f"LOCK-{rank}"
    holder = f"process {os.getpid()} on {platform.node()}"
    try:
        descriptor = _take(own)
    except OSError as error:  # some network file systems know no locks
        warnings.warn(
            f"{own} cannot be locked ({error}): see to it that no other build uses the folder", stacklevel=3
        )
        yield
        return
    try:
        if descriptor is None:
            raise UserError(
                f"{folder}: {_said(own)[0]} is building here as rank {rank} already: let it finish, stop it, or "
                "choose another output"
            )
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{holder}\n{identity}\n".encode())
        for path in sorted(own.parent.glob("LOCK-*")):
            if path != own and _is_held(path) and _said(path)[1] != identity:
                raise UserError(
                    f"{folder}: {_said(path)[0]} is building another corpus here (other settings, inputs, libraries "
                    "or number of ranks): let it finish, stop it, or choose another output"
                )
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _take(path: Path) -> int | None:
    """Descriptor of the file, locked; None when another process holds it."""
    end = time.monotonic() + _PATIENCE
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), path.stat()):  # nobody has removed work/ in between
                    return descriptor
            except BlockingIOError:
                if time.monotonic() > end:
                    os.close(descriptor)
                    return None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        time.sleep(0.02)


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def _said(path: Path) -> tuple[str, str]:
    """(process, identity) of the holder of a lock."""
    end = time.monotonic() + _PATIENCE
    while True:
        with suppress(FileNotFoundError, ValueError):
            holder, identity = path.read_text().splitlines()
            return holder, identity
        if time.monotonic() > end:
            return "another process", ""
        time.sleep(0.02)
