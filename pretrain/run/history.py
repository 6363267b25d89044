"""What a run was: history.jsonl in its folder, a line when it starts and a line when it ends, never changed. No torch.

Rank 0 writes each line at once and to the disk. A start that was killed has no line for its end. What cannot be
written is said once and ends no run; a line that a kill or a full disk cut short is skipped by the reader and closed
by the next writer. Runs that began before there was a history, or whose start could not be written, lack lines.
"""

import logging
import os
import platform
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from taixue.base import UserError, __version__
from taixue.parallel.ranks import OfAllRanks

from ..objectives.summary import ObjectiveFacts

log = logging.getLogger("taixue")

HISTORY_FILE = "history.jsonl"
GIT_SECONDS = 10.0


class Diverged(OfAllRanks):
    """Loss or gradients are not finite any more: training cannot go on, and not for a mistake that a check finds."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _software() -> dict[str, str]:
    return {"torch": version("torch"), "python": platform.python_version(), "system": platform.platform()}


class _Record(BaseModel):
    """Keys of a later Taixue are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Origin(_Record):
    """Where the weights of a start came from: numbers drawn with `seed`, a Hugging Face folder (its path, the digest of
    its files, what its config.json says that an export says again), or a checkpoint of the run (its name, the steps it
    had done)."""

    kind: Literal["seed", "folder", "checkpoint"]
    seed: int = 0
    path: str = ""
    digest: str = ""
    config: dict[str, Any] = {}
    step: int = 0


class Code(_Record):
    """Taixue's version; in a checkout also git's revision, and whether tracked files differ from it."""

    version: str = __version__
    revision: str = ""
    dirty: bool = False

    @classmethod
    def running(cls) -> "Code":
        """That of this process. git is asked only about the checkout this file is in."""
        root = Path(__file__).resolve().parents[2]
        if _git(root, "rev-parse", "--show-toplevel") != str(root):
            return cls()
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        return cls(revision=_git(root, "rev-parse", "HEAD"), dirty=bool(changed))


class End(_Record):
    """When and why a start ended. step: steps of the run that were done, saved or not. detail: the signal's name,
    the error's first line, or why a run that is finished ended before its last step."""

    event: Literal["end"] = "end"
    time: str = Field(default_factory=_now)
    step: int
    why: Literal["finished", "signal", "error", "diverged"]
    detail: str = ""


class Start(_Record):
    """One start of a run. time: UTC. config: of this start, whole; changes: dotted key -> value before, value now,
    against the start that saved the checkpoint this one continues, if any. layout: mesh axis -> ranks.
    tokenizer: digest. end: None while it runs, or when it was killed."""

    event: Literal["start"] = "start"
    time: str = Field(default_factory=_now)
    origin: Origin
    config: dict[str, Any]
    changes: dict[str, tuple[Any, Any]]
    code: Code = Field(default_factory=Code.running)
    software: dict[str, str] = Field(default_factory=_software)
    ranks: int
    layout: dict[str, int]
    fingerprint: str
    tokenizer: str
    objective: ObjectiveFacts
    end: End | None = None

    @property
    def step(self) -> int:
        """Steps of the run that its weights had done."""
        return self.origin.step if self.origin.kind == "checkpoint" else 0


_LINE: TypeAdapter[Start | End] = TypeAdapter(Annotated[Start | End, Field(discriminator="event")])


class History:
    """Writes the two lines of one start: the first when it is made, the second by one of finished, stopped, failed."""

    def __init__(self, folder: Path, start: Callable[[], Start] | None) -> None:
        """Write what `start` returns into the run's folder. None: another rank writes."""
        self._path = folder / HISTORY_FILE
        self._writes = start is not None
        if start is not None:
            self._write(start)

    def finished(self, step: int, early: str = "") -> None:
        """All steps are done; early: why no more are to be done."""
        self._write(lambda: End(step=step, why="finished", detail=early))

    def stopped(self, step: int, signal: str) -> None:
        """Asked to stop."""
        self._write(lambda: End(step=step, why="signal", detail=signal))

    def failed(self, step: int, error: BaseException) -> None:
        """`error`, the user's or ours, ends the run."""
        if isinstance(error, KeyboardInterrupt):
            self.stopped(step, "SIGINT")
            return
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        first = next(iter(str(error).splitlines()), "")
        why: Literal["diverged", "error"] = "diverged" if isinstance(error, Diverged) else "error"
        self._write(lambda: End(step=step, why=why, detail=kind + first))

    def _write(self, made: Callable[[], Start | End]) -> None:
        """Append a line. After a failure none: an end without its start would be taken for another's."""
        if not self._writes:
            return
        try:
            append(self._path, made().model_dump_json(exclude={"end"}).encode())
        except OSError as error:
            self._writes = False
            log.warning("%s cannot be written (%s): training goes on, unrecorded", self._path, error)


def append(path: Path, line: bytes) -> None:
    """Add a line in one write, to the disk. What an earlier writer left unfinished becomes a line of its own.

    Raises OSError; then the file is as long as it was, where the file system still lets it be cut.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        content = (b"\n" if torn else b"") + line + b"\n"
        try:
            if os.write(descriptor, content) < len(content):
                raise OSError(f"only a part of {len(content)} bytes was taken")
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def read_history(folder: Path) -> list[Start]:
    """The starts of the run in `folder`, in order, each with its end; empty where there is no history."""
    path = folder / HISTORY_FILE
    starts: list[Start] = []
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            record = _LINE.validate_json(line)
        except ValidationError:  # half a line, or one that only a later Taixue knows
            continue
        if isinstance(record, Start):
            starts.append(record)
        elif starts and starts[-1].end is None:
            starts[-1] = starts[-1].model_copy(update={"end": record})
    return starts


def leading_to(starts: Iterable[Start], step: int) -> list[Start]:
    """The starts whose steps are in the checkpoint of `step`: not those that were done again from an earlier one."""
    path: list[Start] = []
    for start in starts:
        from_scratch = start.origin.kind != "checkpoint"
        path = [] if from_scratch else [earlier for earlier in path if earlier.step < start.step]
        path.append(start)
    return [start for start in path if start.step < step]


def _git(root: Path, *words: str) -> str:
    """What git says about the checkout `root`; "" where there is no git or it says nothing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
