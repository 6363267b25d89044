"""Where metrics go: the section of the configuration, and the kinds of sinks that a user registers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field, PositiveInt

from taixue.base.registry import UnionRegistry
from taixue.base.section import Section

Record = dict[str, Any]


class Sink(Protocol):
    """Takes records (names of metrics.METRICS -> numbers; "step" is always there), in order. What it raises does not
    end the run."""

    def write(self, record: Record) -> None: ...

    def close(self) -> None:
        """Nothing, unless a sink has something to finish."""


@dataclass(frozen=True)
class SinkStart:
    """What a sink may ask of a run that (re)starts. step: updates done so far, of `steps`; records of later steps that
    an earlier start wrote are void. config: all that the run was told, as JSON."""

    name: str
    folder: Path
    step: int
    steps: int
    config: Mapping[str, Any]


@dataclass(frozen=True)
class SinkKind:
    """A kind of sink by its name in `logging.sinks`. config: its section. open(config, start): on the main rank."""

    name: str
    config: type[Section]
    open: Callable[[Any, SinkStart], Sink]


SINKS: UnionRegistry[SinkKind] = UnionRegistry("sink", SinkKind, "kind")


class LoggingSection(Section):
    """What is built in. The schema of a run adds `sinks`, of what is registered."""

    every: PositiveInt = Field(10, description="steps between reports")
    tensorboard: bool = Field(False, description="also write TensorBoard's files (extra tensorboard)")
    wandb: Literal["off", "offline", "online"] = Field(
        "off", description="also report to Weights & Biases (extra wandb)"
    )
    wandb_project: str = Field("taixue", description="project of Weights & Biases")
    sinks: tuple[Section, ...] = ()
