"""Why a rank ended with an error: one line for the cause, what was saved, what to do; the whole story in logs/.

A rank leaves its Failure where its launcher looks (torchrun names a file for each rank in the environment), so that of
many ranks' errors, most of which follow from one, the console shows one.
"""

import errno
import json
import os
import platform
import re
import time
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import torch
import torch.distributed as dist

from taixue.base import UserError

from ..checkpoint import layout
from ..config.room import less_memory
from ..config.schema import RunConfig
from ..config.validate import run_folder
from .contents import CHECKPOINTS, LOGS

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
"""Variable that holds the path torchrun's agent looks at when this rank has ended."""

_NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|not enough memory|std::bad_alloc", re.IGNORECASE
)
_PEER = re.compile(
    r"gloo|closed by peer|reset by peer|ncclRemoteError|ncclSystemError|NCCL (error|timeout)|Broken pipe|"
    r"(failed to|did not) (recv|connect|send)|connection (was|is) likely closed|wait timeout|timed out",
    re.IGNORECASE,
)
_PLACES = {
    "dry_run": "in the dry run of the first batch",
    "_evaluate": "in an evaluation",
    "_save": "while saving",
    "_step": "in a step",
    "_next": "while making a batch",
    "restore": "while loading the checkpoint",
    "build_engine": "while making the model",
    "first_weights": "while making the first weights",
}
"""Functions of a run -> where an error that came out of them was; of several the first here."""


@dataclass(frozen=True)
class Failure:
    """What ended a rank. kind: the user's mistake; memory that ran out; another rank that is gone, whose failure is the
    cause; anything else. message: one line, for a mistake perhaps several. where: "after step 3 of 9", as far as it is
    known. advice: what to do. less_memory: the same if memory should be the cause. saved, logs: of the run; empty where
    there is none yet."""

    kind: Literal["mistake", "memory", "peer", "other"]
    message: str
    where: str = ""
    advice: str = ""
    less_memory: str = ""
    saved: str = ""
    logs: str = ""

    def lines(self) -> list[str]:
        """For the console: at most six with a one-line message."""
        return [line for line in (self.message, self.saved, self.advice, self.logs) if line]


def failure_of(error: BaseException, run: RunConfig | None, rank: int, world: int) -> Failure:
    """What `error` says about the run (None: its configuration could not be read)."""
    notes = getattr(error, "__notes__", [])
    where = notes[0] if notes else ""
    saved, logs, room = "", "", ""
    if run is not None:
        saved, logs, room = _saved(run), f"logs: {run_folder(run) / LOGS}", less_memory(run, world)
    if isinstance(error, UserError):
        return Failure("mistake", str(error), where, saved=saved if notes else "")
    place = f"rank {rank} on {platform.node()}, {', '.join(filter(None, (where, _place(error))))}".rstrip(
        ", "
    )
    first = next(iter(str(error).strip().splitlines()), "")
    first = re.sub(r"^\[[^\]]*\] ?(err == 0\. )?", "", first)  # the place in the source of gloo or torch
    if _is_memory(error):
        said = re.split(r"(?<=\d)\. (?:Error|GPU|Of)|\. (?:GPU|Error)", first)[0]
        return Failure("memory", f"{place}: out of memory: {said}", where, room, room, saved, logs)
    if _is_peer(error):
        said = first.split(". ")[0]
        advice = "the cause is another rank's: see what that one said, or its machine"
        return Failure("peer", f"{place}: lost another rank ({said})", where, advice, room, saved, logs)
    message = f"{place}: {type(error).__name__}: {first} ({_line(error.__traceback__)})"
    return Failure("other", message, where, "", room, saved, logs)


def leave_word(failure: Failure, error: BaseException, run: RunConfig | None, rank: int) -> None:
    """Write the failure where the launcher looks, and the whole story into the run's logs. Raises nothing."""
    now = {"timestamp": int(time.time())}
    with suppress(OSError):
        if path := os.environ.get(ERROR_FILE):
            Path(path).write_text(json.dumps(asdict(failure) | now), encoding="utf-8")
    if run is None or failure.kind == "mistake":
        return
    with suppress(OSError):
        story = run_folder(run) / LOGS / f"rank-{rank}.error"
        story.parent.mkdir(parents=True, exist_ok=True)
        story.write_text("".join(traceback.format_exception(error)), encoding="utf-8")


def _saved(run: RunConfig) -> str:
    for path in layout.committed(run_folder(run) / CHECKPOINTS)[:1]:
        return f"saved: step {layout.step_of(path)}, in {path}; the same command goes on from there"
    return "saved: nothing yet; the same command starts from the beginning"


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


def _is_peer(error: BaseException) -> bool:
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError | ConnectionError) and _PEER.search(str(error)) is not None


def _place(error: BaseException) -> str:
    names = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
    return next((words for name, words in _PLACES.items() if name in names), "")


def _line(trace: TracebackType | None) -> str:
    """The innermost line of Taixue, or of whatever raised."""
    frames = traceback.extract_tb(trace)
    ours = [frame for frame in frames if "taixue" in frame.filename]
    last = (ours or frames)[-1]
    return f"{Path(last.filename).parent.name}/{Path(last.filename).name}:{last.lineno}"
