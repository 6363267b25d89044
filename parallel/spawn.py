"""Run a function on several gloo ranks of this machine, with a deadline: a hang ends with every rank's stack.

Ranks are forked from a fork server that has torch imported already, and of taixue what the caller had imported when it
first started ranks, so a group starts in a fraction of a second.
"""

import faulthandler
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic
from typing import Any

import torch
import torch.distributed as dist

from taixue.base.registry import extended

_context = get_context("forkserver")
_PRELOAD = ["taixue.parallel.runtime", "torch.distributed.checkpoint", "torch.optim"]


def run_ranks(function: Callable[..., Any], world: int, *args: Any, deadline: float = 120.0) -> list[Any]:
    """Call function(*args) on `world` ranks inside a started gloo group; return the results by rank.

    function must be importable (module level); its arguments and result go through a pipe: numbers, strings, arrays,
    dataclasses of them, but no torch tensors, whose memory ends with the sender. Raises RuntimeError with the first
    failing rank's traceback, or with all stacks when `deadline` seconds pass.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Read when the server starts, that is once. A script that registers must come before what closes registries.
    imported = [] if extended() else sorted(name for name in sys.modules if name.startswith("taixue."))
    _context.set_forkserver_preload([*_PRELOAD, *imported])
    with tempfile.TemporaryDirectory() as folder:
        pipes, processes = [], []
        for rank in range(world):
            ours, theirs = _context.Pipe()
            process = _context.Process(
                target=_rank, args=(rank, world, folder, theirs, function, args, deadline)
            )
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        try:
            return _collect(pipes, deadline, Path(folder))
        finally:
            for process in processes:
                process.join(timeout=5)
                if process.is_alive():
                    process.kill()
                    process.join()


def _collect(pipes: list[Connection], deadline: float, folder: Path) -> list[Any]:
    results: list[Any] = [None] * len(pipes)
    pending = {pipe: rank for rank, pipe in enumerate(pipes)}
    end = monotonic() + deadline + 5.0
    while pending:
        ready = wait(list(pending), timeout=max(0.0, end - monotonic()))
        if not ready:
            late = sorted(pending.values())
            raise RuntimeError(f"ranks {late} passed the deadline of {deadline} s\n{_stacks(folder)}")
        for pipe in ready:
            assert isinstance(pipe, Connection)
            rank = pending.pop(pipe)
            try:
                succeeded, value = pipe.recv()
            except EOFError:
                raise RuntimeError(f"rank {rank} died without a word\n{_stacks(folder)}") from None
            if not succeeded:
                raise RuntimeError(f"rank {rank} failed:\n{value}")
            results[rank] = value
    return results


def _stacks(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.glob("stack-*")))


def _rank(
    rank: int,
    world: int,
    folder: str,
    pipe: Connection,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    deadline: float,
) -> None:
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(world)
    )
    torch.set_num_threads(1)
    with open(f"{folder}/stack-{rank}", "w") as stacks:
        faulthandler.enable(stacks)
        faulthandler.dump_traceback_later(deadline, file=stacks, exit=True)
        store = dist.FileStore(f"{folder}/store", world)
        timeout = timedelta(seconds=deadline)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timeout)
        try:
            pipe.send((True, function(*args)))
            with suppress(RuntimeError):  # another rank may have failed, which is that rank's to report
                dist.barrier()
        except BaseException:
            pipe.send((False, traceback.format_exc()))
        faulthandler.cancel_dump_traceback_later()
        if dist.is_initialized():
            dist.destroy_process_group()
