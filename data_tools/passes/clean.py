"""Pass `clean`: an input shard -> its cleaned documents, and what its copies can be found by.

Documents are numbered in their order; every later pass speaks of them by (input shard, number).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import index, record, runs
from .cleaned import CleanedShard
from .cut import InputShard
from .texts import TextWriter

TEXT = (".text", ".length")


@dataclass(frozen=True)
class CleanTask:
    """Makes work/clean/<shard>.*"""

    shard: InputShard

    def __str__(self) -> str:
        return f"clean-{self.shard.base}"

    @property
    def size(self) -> int:
        return self.shard.text_bytes

    @property
    def record(self) -> Path:
        return self.shard.work("clean", ".json")

    def is_finished(self) -> bool:
        return record.is_finished(self.record, self.shard.cleaned)

    def run(self) -> Iterator[int]:
        shard, config = self.shard, self.shard.config.deduplicate
        assert config is not None
        self.record.parent.mkdir(parents=True, exist_ok=True)
        record.forget(self.record, [shard.work("clean", suffix) for suffix in (*TEXT, *index.SUFFIXES)])
        cleaned = CleanedShard(shard)
        texts = TextWriter(*(shard.work("clean", suffix) for suffix in TEXT))
        indexes = index.of(shard, config)
        for batch, sizes, amount in cleaned:
            texts.add(batch, sizes)
            for one in indexes:
                one.add(batch)
            yield amount
        texts.finish()
        written = [writer for one in indexes for writer in one.finish()]
        record.publish(
            self.record,
            shard.cleaned,
            [*texts.paths, *(writer.path for writer in written)],
            rows={
                writer.path.suffix[1:]: writer.rows
                for writer in written
                if isinstance(writer, runs.RunWriter)
            },
            inputs=[piece.model_dump() for piece in cleaned.inputs],
        )
