"""Where metrics go: metrics.jsonl and the console always; TensorBoard, Weights & Biases and a user's own on request.

A sink that fails does not end the run: it is said once, and what it missed is counted. That a package is missing is
found before a run starts (config/validate.py).
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import orjson

from taixue.base import UserError, files

from .config import SINKS, LoggingSection, Record, Sink, SinkStart
from .console import Console
from .evaluations import METRICS_FILE

log = logging.getLogger("taixue")

_FAILS = Exception, SystemExit
"""What a sink may raise without ending the run; libraries that serve people at terminals do exit."""

WANDB_ID = "wandb_id"
ABANDONED_FILE = "metrics-abandoned.jsonl"
"""Lines of steps that a later start did again."""


def open_sinks(
    config: LoggingSection,
    start: SinkStart,
    is_main: bool,
    more: Mapping[str, Callable[[], Sink]] | None = None,
) -> list[Sink]:
    """The sinks of a run that (re)starts; none except on the main rank. more: others, by name. UserError of a user's
    own sink."""
    if not is_main:
        return []
    openers: dict[str, Callable[[], Sink]] = {
        METRICS_FILE: lambda: JsonLines(start.folder / METRICS_FILE, start.step),
        "console": lambda: Console(start.name, start.steps, start.step),
    }
    if config.tensorboard:
        openers["logging.tensorboard"] = lambda: TensorBoard(start.folder / "tensorboard", start.step)
    if config.wandb != "off":
        openers["logging.wandb"] = lambda: WandB(config, start)
    for number, sink in enumerate(config.sinks):
        kind = SINKS.of(sink)
        openers[f"logging.sinks.{number} ({kind.name})"] = partial(kind.open, sink, start)
    openers |= more or {}
    return [Guarded(name, opener) for name, opener in openers.items()]


class Guarded:
    """A sink whose failures are told once and counted. UserError passes while it is opened: nothing has begun yet."""

    def __init__(self, name: str, opener: Callable[[], Sink]) -> None:
        self._name, self._records, self._missed = name, 0, 0
        self._sink: Sink | None = None
        try:
            self._sink = opener()
        except UserError:
            raise
        except _FAILS as error:
            log.warning("%s cannot be opened (%s); training goes on without it", name, _words(error))

    def write(self, record: Record) -> None:
        self._records += 1
        try:
            if self._sink is not None:
                self._sink.write(record)
                return
        except _FAILS as error:
            if not self._missed:
                log.warning(
                    "%s missed the record of step %s (%s); training goes on, further ones are counted",
                    *(self._name, record["step"], _words(error)),
                )
        self._missed += 1

    def close(self) -> None:
        try:
            if self._sink is not None:
                self._sink.close()
        except _FAILS as error:
            log.warning("%s cannot be closed (%s)", self._name, _words(error))
        if self._missed:
            log.warning("%s missed %d of %d records", self._name, self._missed, self._records)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


class JsonLines:
    """One JSON object per line. On resume, lines of later steps move to ABANDONED_FILE first (a torn last line is
    dropped); a kill between the two writes leaves them in both. A line that the disk had no room for leaves no trace,
    or half a line that readers skip."""

    def __init__(self, path: Path, start: int) -> None:
        if path.exists():
            lines = [(line, _step(line)) for line in path.read_bytes().splitlines(keepends=True)]
            later = b"".join(line for line, step in lines if step is not None and step > start)
            if later:
                _keep_abandoned(path.with_name(ABANDONED_FILE), later)
            files.write(path, b"".join(line for line, step in lines if step is not None and step <= start))
        self._file = path.open("ab", buffering=0)
        self._torn = False

    def write(self, record: Record) -> None:
        line = b"\n" * self._torn + orjson.dumps(record) + b"\n"
        written = self._file.write(line)
        self._torn = written < len(line)
        if self._torn:
            raise OSError(f"{written} of {len(line)} bytes written: no space left?")

    def close(self) -> None:
        self._file.close()


def _step(line: bytes) -> int | None:
    """The step of a whole record; None for anything else."""
    try:
        step = orjson.loads(line)["step"] if line.endswith(b"\n") else None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return step if isinstance(step, int) else None


def _keep_abandoned(path: Path, lines: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(lines)
    except OSError as error:
        log.warning("%s cannot be written (%s): what is done again leaves no trace", path, error)


class TensorBoard:
    """Scalars for TensorBoard; on resume, events of later steps are hidden."""

    def __init__(self, folder: Path, start: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def write(self, record: Record) -> None:
        for name, value in record.items():
            if name not in ("step", "time"):
                self._writer.add_scalar(name, value, record["step"])
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WandB:
    """Weights & Biases, online or offline (`wandb sync` uploads later). A resumed run continues as
    the one it was: its folder keeps a random id, since many runs of a project may share a name.
    """

    def __init__(self, config: LoggingSection, start: SinkStart) -> None:
        import wandb

        self._run = wandb.init(
            project=config.wandb_project,
            name=start.name,
            id=_wandb_id(start.folder),
            dir=str(start.folder),
            mode=config.wandb,
            resume="allow",
            config=dict(start.config),
        )

    def write(self, record: Record) -> None:
        self._run.log(record, step=record["step"])

    def close(self) -> None:
        self._run.finish()


def _wandb_id(folder: Path) -> str:
    path = folder / WANDB_ID
    if not path.exists():
        files.write(path, secrets.token_hex(8).encode())
    return path.read_text()
