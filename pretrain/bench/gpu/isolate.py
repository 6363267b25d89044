"""A function in a process and a session of its own, with a time limit: whatever hangs in it ends with its stacks.

Processes are forked from a server that has imported what steps need and has not touched CUDA: an interpreter that
imports torch and transformers anew takes ten seconds, of eight minutes.
"""

import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic

STACKS_AT = 0.85
"""Share of the limit after which a process writes where it is."""

LAST_LINES = 12

PRELOAD = ["taixue.pretrain.bench.gpu.plan", "taixue.pretrain.train", "transformers.models.t5.modeling_t5"]


def isolated(
    function: Callable[[], None],
    limit: float,
    log: Path,
    environment: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> tuple[int | None, float, tuple[str, ...]]:
    """(exit status, None when it was killed at `limit` seconds; seconds taken; last lines of the log).

    function must be picklable. Its output goes to `log`. fresh: in a new interpreter instead of a forked one. Whatever
    the process has started in its session is killed when it ends, in whatever way.
    """
    os.environ.setdefault(
        "PYTORCH_NVML_BASED_CUDA_CHECK", "1"
    )  # asks for devices without starting CUDA, before forks
    arguments = (function, limit, str(log), dict(environment or {}))
    begin = monotonic()
    process: BaseProcess
    if fresh:
        process = get_context("spawn").Process(target=_inside, args=arguments)
    else:
        forking = get_context("forkserver")
        forking.set_forkserver_preload(PRELOAD)
        process = forking.Process(target=_inside, args=arguments)
    process.start()
    try:
        process.join(limit)
        status = process.exitcode
    finally:
        _end(process)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return status, monotonic() - begin, tuple(lines[-LAST_LINES:])


def _inside(function: Callable[[], None], limit: float, log: str, environment: Mapping[str, str]) -> None:
    os.setsid()
    with open(log, "wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environment)
    faulthandler.enable(2)
    faulthandler.dump_traceback_later(STACKS_AT * limit, file=2)
    status = 1
    try:
        function()
        status = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # what hangs while leaving (threads, process groups) is not what was to be measured


def _end(process: BaseProcess) -> None:
    """Kill the process and all others of its session."""
    assert process.pid is not None
    for pid in [process.pid, *_of_session(process.pid)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.join()


def _of_session(session: int) -> list[int]:
    """Ids of the processes of a session (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session:
            found.append(int(stat.parent.name))
    return found
