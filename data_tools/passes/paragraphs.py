"""Pass `paragraphs`: within one range of hashes, the paragraphs that occurred before in a document that stays.

Its file holds rows (document id, number of the paragraph) sorted by document, so each writer reads only its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..plan import WORK_FOLDER, InputShard, digest
from . import match, record, resolve, runs
from .clean import PARAGRAPH_COLUMNS, REPEAT_COLUMNS

ROW_MEMORY = 160  # bytes held per row at the peak of a task, measured


@dataclass(frozen=True)
class ParagraphTask:
    """One range of hashes; part of parts."""

    shards: tuple[InputShard, ...]
    part: int
    parts: int
    rows: int

    def __str__(self) -> str:
        return f"paragraphs-{self.part:05d}"

    @property
    def size(self) -> int:
        return 16 * self.rows // self.parts

    @property
    def path(self) -> Path:
        return part_path(self.shards[0], self.part)

    @property
    def stamp(self) -> str:
        return digest([[shard.cleaned for shard in self.shards], self.part, self.parts])

    def is_finished(self) -> bool:
        return record.is_finished(self.path.with_suffix(".json"), self.stamp)

    def run(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        record.forget(self.path.with_suffix(".json"), [self.path])
        low, high = runs.ranges(self.parts)[self.part]
        rows = match.load_rows(self.shards, ".paragraph", PARAGRAPH_COLUMNS, low, high)
        stays = ~resolve.Removed(self.shards[0]).among(rows["document"])
        rows = {name: column[stays] for name, column in rows.items()}
        order = np.lexsort((rows["paragraph"], rows["document"], rows["hash"]))
        hashes = rows["hash"][order]
        again = order[1:][hashes[1:] == hashes[:-1]]
        writer = runs.RunWriter(self.path, REPEAT_COLUMNS)
        writer.add({name: rows[name][again] for name in REPEAT_COLUMNS})
        writer.finish()
        record.publish(self.path.with_suffix(".json"), self.stamp, [self.path], paragraphs=len(again))
        yield self.size


def part_path(shard: InputShard, part: int) -> Path:
    return shard.output / WORK_FOLDER / "paragraphs" / f"{part:05d}.repeats"


def repeated(shard: InputShard, parts: int) -> dict[int, set[int]]:
    """Document number -> numbers of its paragraphs that go, for one input shard."""
    low, high = shard.index << match.DOCUMENT_BITS, (shard.index + 1) << match.DOCUMENT_BITS
    paths = [*(part_path(shard, part) for part in range(parts)), shard.work("clean", ".repeats")]
    found: dict[int, set[int]] = {}
    for path in paths:
        for rows in runs.RunFile(path, REPEAT_COLUMNS).slices(low, high):
            numbers = rows["document"] & np.uint64((1 << match.DOCUMENT_BITS) - 1)
            for document, paragraph in zip(numbers.tolist(), rows["paragraph"].tolist(), strict=True):
                found.setdefault(document, set()).add(paragraph)
    return found
