"""Which passes a configuration needs, and the tasks of each: the same list on every rank."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..passes import match, paragraphs, record
from ..passes.clean import CleanTask
from ..passes.cut import SPLITS, InputShard
from ..passes.resolve import ResolveTask
from ..passes.shuffle import DealTask, GatherTask
from ..passes.write import WriteTask
from .flow import nothing_left
from .outline import outline

_LEAST_PARTS = 64  # so many at most for the sake of parallel work; more only for the bound on memory


class Task(Protocol):
    """A piece of work that any process can do again with the same result. size: its share of the progress."""

    @property
    def size(self) -> int: ...

    def is_finished(self) -> bool: ...

    def run(self) -> Iterator[int]:
        """Does the work; yields amounts that add up to about size."""
        ...


@dataclass(frozen=True)
class Pass:
    """Tasks that need nothing of each other, only everything of the passes before."""

    name: str
    tasks: Sequence[Task]
    last: bool = False


def schedule(shards: tuple[InputShard, ...]) -> Iterator[Pass]:
    """The passes in their order. Ask for the next one only when all tasks of the one before are finished.

    UserError when nothing is left after cleaning.
    """
    config = shards[0].config
    parts = 0
    if config.deduplicate is not None:
        yield Pass("clean", [CleanTask(shard) for shard in shards])
        if not any(shard.work("clean", ".length").stat().st_size for shard in shards):
            raise nothing_left(shards[0].output, outline(shards))
        rows: dict[str, int] = {}
        for shard in shards:
            for name, count in record.read(shard.work("clean", ".json"))["rows"].items():
                rows[name] = rows.get(name, 0) + count
        bound = config.deduplicate.memory_mb * 1_000_000
        kinds: list[match.Kind] = [kind for kind in match.COLUMNS if kind in rows]
        matches = [
            match.MatchTask(shards, part, count, rows[kind], kind)
            for kind in kinds
            for count in [_parts(rows[kind] * match.ROW_MEMORY[kind], bound, len(shards))]
            for part in range(count)
        ]
        if matches:
            yield Pass("match", matches)
        local = [(kind, shard.work("clean", f".{kind}-pairs")) for shard in shards for kind in kinds]
        pairs: list[tuple[match.Kind, Path]] = [*((task.kind, task.path) for task in matches), *local]
        yield Pass("resolve", [ResolveTask(shards, tuple(pairs))])
        if config.deduplicate.paragraphs:
            parts = _parts(rows["paragraph"] * paragraphs.ROW_MEMORY, bound, len(shards))
            tasks = [
                paragraphs.ParagraphTask(shards, part, parts, rows["paragraph"]) for part in range(parts)
            ]
            yield Pass("paragraphs", tasks)
    if config.shuffle:
        yield Pass("deal", [DealTask(shard, parts) for shard in shards])
        gathers = [GatherTask(shards, shard.index, split) for shard in shards for split in SPLITS]
        yield Pass("gather", gathers, last=True)
    else:
        yield Pass("write", [WriteTask(shard, parts) for shard in shards], last=True)


def _parts(needed: int, bound: int, shards: int) -> int:
    """Number of equal parts of a pass that keep each within the bound; the parts change no result."""
    return max(-(-needed // bound), min(shards, _LEAST_PARTS))
