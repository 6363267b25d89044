"""Pass `paragraphs`: within one range of hashes, the paragraphs that another document holds, or this one before.

Of the documents that stay, one holds each paragraph: the first, as a rule (of lines that a run of rows is full of,
the first among those that were set apart last). Its file holds rows (document id, number of the paragraph) sorted by
document, so each writer reads only its own; the number HOLDS says that others gave a paragraph up for the document.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import match, resolve, runs
from .cut import WORK_FOLDER, InputShard
from .index import PARAGRAPH_COLUMNS
from .ranges import RangeTask

ROW_MEMORY = 160  # bytes held per row at the peak of a task, measured
COLUMNS = {"document": "<u8", "paragraph": "<u4"}
HOLDS = (1 << 32) - 1


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
        writer = runs.RunWriter(self.path, COLUMNS)
        holders = _Holders()
        needed = [np.zeros(0, np.uint64)]
        for rows in self._rows(low, high):
            rows, holder, is_first = holders.find(rows)
            again = {name: rows[name][~is_first] for name in COLUMNS}
            writer.add(again)
            needed.append(np.unique(holder[rows["document"] != holder]))
        documents = np.unique(np.concatenate(needed))
        writer.add({"document": documents, "paragraph": np.full(len(documents), HOLDS, np.uint32)})
        paragraphs = writer.rows - len(documents)
        writer.finish()
        return {"paragraphs": paragraphs}

    def _rows(self, low: int, high: int) -> Iterator[runs.Rows]:
        """Of documents that stay: the usual rows all at once; then those set apart, which are bounded by nothing, by
        and by."""
        removed = resolve.Removed(self.shards[0])
        yield removed.without(match.load_rows(self.shards, ".paragraph", PARAGRAPH_COLUMNS, low, high))
        for rows in match.read_rows(self.shards, ".boilerplate", PARAGRAPH_COLUMNS, low, high):
            yield removed.without(rows)


class _Holders:
    """The document that holds each hash that has come by."""

    def __init__(self) -> None:
        self._hashes = self._documents = np.zeros(0, np.uint64)

    def find(self, rows: runs.Rows) -> tuple[runs.Rows, np.ndarray, np.ndarray]:
        """(rows ordered by hash, the holder of each, whether the row is what made it that)."""
        order = match.stable_order(rows["hash"])  # runs hold paragraphs in their order
        rows = {name: column[order] for name, column in rows.items()}
        hashes = rows["hash"]
        is_first = np.ones(len(hashes), bool)
        is_first[1:] = hashes[1:] != hashes[:-1]
        is_first[is_first] &= ~match.are_among(hashes[is_first], self._hashes)
        if is_first.any():
            known = np.concatenate([self._hashes, hashes[is_first]])
            by_hash = match.stable_order(known)
            self._hashes = known[by_hash]
            self._documents = np.concatenate([self._documents, rows["document"][is_first]])[by_hash]
        return rows, self._documents[np.searchsorted(self._hashes, hashes)], is_first


def part_path(shard: InputShard, part: int) -> Path:
    return shard.output / WORK_FOLDER / "paragraphs" / f"{part:05d}.repeats"


def repeated(shard: InputShard, parts: int) -> tuple[dict[int, set[int]], set[int]]:
    """Of one input shard: document number -> numbers of its paragraphs that go; the documents that others gave a
    paragraph up for."""
    low, high = shard.index << match.DOCUMENT_BITS, (shard.index + 1) << match.DOCUMENT_BITS
    repeats: dict[int, set[int]] = {}
    holders: set[int] = set()
    for part in range(parts):
        for rows in runs.RunFile(part_path(shard, part), COLUMNS).slices(low, high):
            numbers = rows["document"] & np.uint64((1 << match.DOCUMENT_BITS) - 1)
            for document, paragraph in zip(numbers.tolist(), rows["paragraph"].tolist(), strict=True):
                if paragraph == HOLDS:
                    holders.add(document)
                else:
                    repeats.setdefault(document, set()).add(paragraph)
    return repeats, holders
