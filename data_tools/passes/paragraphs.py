"""Pass `paragraphs`: within one range of hashes, the paragraphs that occurred before in a document that stays.

Its file holds rows (document id, number of the paragraph) sorted by document, so each writer reads only its own.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import match, resolve, runs
from .cut import WORK_FOLDER, InputShard
from .index import PARAGRAPH_COLUMNS, REPEAT_COLUMNS
from .ranges import RangeTask

ROW_MEMORY = 160  # bytes held per row at the peak of a task, measured


@dataclass(frozen=True)
class ParagraphTask(RangeTask):
    """Repeated paragraphs within one range of hashes."""

    def __str__(self) -> str:
        return f"paragraphs-{self.part:05d}"

    @property
    def path(self) -> Path:
        return part_path(self.shards[0], self.part)

    @property
    def row_bytes(self) -> int:
        return 16

    def make(self, low: int, high: int) -> dict[str, Any]:
        rows = match.load_rows(self.shards, ".paragraph", PARAGRAPH_COLUMNS, low, high)
        stays = ~resolve.Removed(self.shards[0]).among(rows["document"])
        rows = {name: column[stays] for name, column in rows.items()}
        order = match.stable_order(rows["hash"])  # runs hold paragraphs in their order
        hashes = rows["hash"][order]
        again = order[1:][hashes[1:] == hashes[:-1]]
        writer = runs.RunWriter(self.path, REPEAT_COLUMNS)
        writer.add({name: rows[name][again] for name in REPEAT_COLUMNS})
        writer.finish()
        return {"paragraphs": len(again)}


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
