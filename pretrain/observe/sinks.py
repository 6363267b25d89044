"""Where metrics go: always metrics.jsonl, the console, and TensorBoard or Weights & Biases when asked for."""

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import orjson

from taixue import UserError
from taixue.base import files

from ..config.schema import RunConfig
from .console import Console

Record = dict[str, Any]

METRICS_FILE, WANDB_ID = "metrics.jsonl", "wandb_id"


class Sink(Protocol):
    """Takes records (names of metrics.METRICS -> numbers; "step" is always there), in order."""

    def write(self, record: Record) -> None: ...

    def close(self) -> None: ...


def open_sinks(run: RunConfig, folder: Path, start: int, is_main: bool) -> list[Sink]:
    """The sinks of a run that (re)starts after `start` updates; none except on the main rank.

    Raises UserError if a package that was asked for is missing.
    """
    if not is_main:
        return []
    sinks: list[Sink] = [JsonLines(folder / METRICS_FILE, start), Console(run.name, run.steps, start)]
    if run.logging.tensorboard:
        sinks.append(TensorBoard(folder / "tensorboard", start))
    if run.logging.wandb != "off":
        sinks.append(WandB(run, folder))
    return sinks


class JsonLines:
    """One JSON object per line. On resume, lines of later steps (and a torn last line) are dropped first."""

    def __init__(self, path: Path, start: int) -> None:
        if path.exists():
            kept = b"".join(
                line for line in path.read_bytes().splitlines(keepends=True) if _keep(line, start)
            )
            files.write(path, kept)
        self._file = path.open("ab")

    def write(self, record: Record) -> None:
        self._file.write(orjson.dumps(record) + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _keep(line: bytes, start: int) -> bool:
    try:
        return line.endswith(b"\n") and orjson.loads(line)["step"] <= start
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False


def evaluated(folder: Path, step: int) -> bool:
    """Whether the run's metrics hold held-out losses after `step` updates."""
    path = folder / METRICS_FILE
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with suppress(orjson.JSONDecodeError):
            record = orjson.loads(line)
            if record["step"] == step and any(name.startswith("eval/") for name in record):
                return True
    return False


class TensorBoard:
    """Scalars for TensorBoard; on resume, events of later steps are hidden."""

    def __init__(self, folder: Path, start: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "logging.tensorboard: the package tensorboard is missing; pip install tensorboard, or set it to false"
            ) from None
        self._writer = SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def write(self, record: Record) -> None:
        for name, value in record.items():
            if name != "step":
                self._writer.add_scalar(name, value, record["step"])
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WandB:
    """Weights & Biases, online or offline (`wandb sync` uploads later). A resumed run continues as
    the one it was: its folder keeps a random id, since many runs of a project may share a name.
    """

    def __init__(self, run: RunConfig, folder: Path) -> None:
        try:
            import wandb
        except ImportError:
            raise UserError(
                "logging.wandb: the package wandb is missing; pip install wandb, or set it to off"
            ) from None
        self._run = wandb.init(
            project=run.logging.wandb_project,
            name=run.name,
            id=_wandb_id(folder),
            dir=str(folder),
            mode=run.logging.wandb,
            resume="allow",
            config=run.model_dump(mode="json"),
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
