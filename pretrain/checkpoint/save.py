"""Saving a run: at most one checkpoint in flight, in the background when asked for, old ones dropped last."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException

from taixue.parallel.ranks import OfAllRanks

from . import layout
from .staging import Staging
from .storage import Writer

log = logging.getLogger("taixue")


class Saver:
    """Writes the checkpoints of one run. Every method is to be called on every rank.

    group is a gloo group of all ranks that nothing else uses: with asynchronous set, a background thread
    issues DCP's collectives (gathers of plans and results) on it while training goes on. A save that fails
    leaves earlier checkpoints alone and training running: it is reported by the next save() or poll(), and
    raised by finish(). Only the first save is waited for, and raised when it fails: a disk that takes nothing is found
    out before days of training depend on it.
    """

    def __init__(self, folder: Path, keep: int, asynchronous: bool, group: dist.ProcessGroup) -> None:
        self._folder, self._keep, self._group = folder, keep, group
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint") if asynchronous else None
        self._staging = Staging()
        self._pending: Future[None] | None = None
        self._failure: str | None = None
        self._works = False  # a save of this start has succeeded

    def save(
        self, step: int, tensors: dict[str, Tensor], state: dict[str, Any], best: int | None = None
    ) -> None:
        """Save tensors (plain or DTensor, by flat key) and state (JSON) as the checkpoint of `step`. Once it is there,
        all go but the `keep` newest and that of step `best`.

        On return the tensors may change. Waits for the save before this one, if it is still under way. Raises UserError
        on every rank if nothing could be saved yet.
        """
        self._settle()
        if self._thread is None:
            pending: Future[None] = Future()
            try:
                self._write(step, tensors, state, best)
                pending.set_result(None)
            except CheckpointException as error:
                pending.set_exception(error)
            self._pending = pending
        else:
            staged = self._staging.stage(tensors)
            self._pending = self._thread.submit(self._write, step, staged, state, best)
        if self._thread is None or not self._works:
            self._settle()
        if not self._works:
            raise OfAllRanks(f"{self._failure}. No checkpoint of this start could be saved, so it ends here")

    def poll(self) -> None:
        """Report a background save that failed meanwhile. Never waits, issues no collective."""
        if self._pending is not None and self._pending.done():
            self._settle()

    def finish(self) -> None:
        """Wait until the last save is on disk. Raises UserError if it is not."""
        self._settle()
        if self._thread is not None:
            self._thread.shutdown()
        if self._failure is not None:
            raise OfAllRanks(self._failure)

    def wait(self, seconds: float | None = None) -> None:
        """Before leaving on an error: give a save in flight time (None: all it needs). Raises nothing."""
        if self._pending is not None:
            wait([self._pending], seconds)

    def _settle(self) -> None:
        if self._pending is None:
            return
        self._failure = None
        try:
            self._pending.result()
            self._works = True
        except CheckpointException as error:
            reasons = sorted({f"rank {rank}: {failure[0]}" for rank, failure in error.failures.items()})
            self._failure = f"a checkpoint could not be saved in {self._folder}: {reasons[0]}"
            if dist.get_rank() == 0 and self._works:
                log.error("%s. Training goes on; earlier checkpoints are intact", self._failure)
        self._pending = None

    def _write(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any], best: int | None) -> None:
        writer = Writer(layout.path_of(self._folder, step), step, state)
        planner = dcp.DefaultSavePlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
        try:
            dcp.save(tensors, storage_writer=writer, planner=planner, process_group=self._group)
        finally:
            if dist.get_rank() == 0:
                self._tidy(step, best)

    def _tidy(self, step: int, best: int | None) -> None:
        """Drop what a failed save left: a full disk needs the room. Once `step` is there, drop old checkpoints."""
        try:
            layout.clear_unfinished(self._folder)
            there = layout.committed(self._folder)
            old = there[self._keep :] if layout.path_of(self._folder, step) in there else []
            for path in old:
                if layout.step_of(path) != best:
                    layout.discard(path)
        except OSError as error:
            log.warning("old checkpoints could not be removed: %s", error)
