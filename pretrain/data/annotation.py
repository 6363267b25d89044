"""The annotation beside the tokens: opened, checked against the shards, read window by window."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taixue.base import UserError
from taixue.data_tools.shards import sidecar
from taixue.data_tools.shards.corpus import Corpus, Shard

_PROBED = 1 << 20  # rows of a shard whose units are checked at the start; its digest covers the rest


class Annotation:
    """What the sidecars of a run's shards have in common: columns and the names of their values.

    The objective is told by `Objective.annotated`, once every shard is open.
    """

    def __init__(self) -> None:
        self.schema: Mapping[str, Any] = {}
        self._from = ""

    @property
    def dtype(self) -> np.dtype:
        """Of a row."""
        return sidecar.row_dtype(self.schema)

    def open(self, corpus: Corpus, source: str) -> list[np.ndarray]:
        """Rows of a source's shards as bytes, uint8 (N, bytes per row) each, memory-mapped. UserError when a sidecar is
        missing, belongs to other tokens, or names its values differently from the others'."""
        return [self._open(corpus, shard) for shard in corpus.shards_of(source)]

    def _open(self, corpus: Corpus, shard: Shard) -> np.ndarray:
        prefix = corpus.folder / shard.entry.name
        if not shard.entry.ann_sha256:
            raise UserError(
                f"{prefix}: has no annotation, which objective.masking, spans, features or labels need; build the "
                "corpus with an `annotate:` section (`taixue corpus build CONFIG --annotate.words true`)"
            )
        reader = sidecar.Reader(prefix)
        if len(reader.rows) != shard.entry.tokens:
            raise UserError(
                f"{reader.path}: {len(reader.rows)} rows for {shard.entry.tokens} tokens: it belongs to another shard "
                "or tokenizer; run `taixue corpus build` again"
            )
        _check_units(reader)
        schema = {name: value for name, value in reader.schema.items() if name != "made_by"}
        if not self.schema:
            self.schema, self._from = schema, str(reader.path)
        elif schema != self.schema:
            name = next(
                name for name in {**schema, **self.schema} if schema.get(name) != self.schema.get(name)
            )
            raise UserError(
                f"{reader.path}: its {name} differ from those of {self._from}; build both corpora with the same "
                "annotate section"
            )
        rows: np.ndarray = reader.rows.view(np.uint8).reshape(len(reader.rows), -1)
        return rows


def _check_units(reader: sidecar.Reader) -> None:
    """UserError unless units follow one another without gaps, and no entity or connective is empty."""
    rows = reader.rows[:_PROBED]
    if not len(rows):
        return
    flags = rows["flags"]
    if not flags[0] & sidecar.UNIT:
        raise UserError(f"{reader.path}: its first token begins no unit; {_REPAIR}")
    for bit, column in ((sidecar.ENTITY, "entity"), (sidecar.CONNECTIVE, "connective")):
        begins, inside = (flags & bit) != 0, rows[column] != 0
        empty = np.flatnonzero(begins & ~inside)
        if len(empty):
            raise UserError(f"{reader.path}: the {column} at token {empty[0]} has no length; {_REPAIR}")
        kinds = rows[column]
        overlapping = np.flatnonzero(inside[1:] & (kinds[1:] != kinds[:-1]) & ~begins[1:])
        if len(overlapping):
            raise UserError(
                f"{reader.path}: the {column} at token {overlapping[0] + 1} overlaps another; {_REPAIR}"
            )


def restored(rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Structured rows (B, N) of bytes (B, N, bytes per row)."""
    return np.ascontiguousarray(rows).view(dtype)[..., 0]


def names(schema: Mapping[str, Any], column: str) -> Sequence[str]:
    """Names of the values of a column, 0 being none."""
    return list(schema.get(column, [""]))


_REPAIR = "the file is damaged; `taixue corpus build` makes it again"
