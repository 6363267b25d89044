"""Tasks on one range of hashes over all input shards: what they hold in memory is bounded by the number of ranges."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import record, runs
from .cut import InputShard, digest


@dataclass(frozen=True)
class RangeTask(ABC):
    """Makes one file from the rows [low, high) of part of parts. rows: of all parts."""

    shards: tuple[InputShard, ...]
    part: int
    parts: int
    rows: int

    @property
    @abstractmethod
    def path(self) -> Path:
        """The file that is made; its record is beside it."""

    @property
    @abstractmethod
    def row_bytes(self) -> int:
        """For the progress, about."""

    @abstractmethod
    def make(self, low: int, high: int) -> dict[str, Any]:
        """Publish the file; returns facts for its record."""

    @property
    def size(self) -> int:
        return self.rows * self.row_bytes // self.parts

    @property
    def stamp(self) -> str:
        return digest([[shard.cleaned for shard in self.shards], self.path.name, self.parts])

    def is_finished(self) -> bool:
        return record.is_finished(self.path.with_suffix(".json"), self.stamp)

    def run(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        record.forget(self.path.with_suffix(".json"), [self.path])
        facts = self.make(*runs.ranges(self.parts)[self.part])
        record.publish(self.path.with_suffix(".json"), self.stamp, [self.path], **facts)
        yield self.size
