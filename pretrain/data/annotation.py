"""The annotation beside the tokens: opened, checked against the shards, read window by window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taixue.base import UserError
from taixue.data_tools.shards import sidecar
from taixue.data_tools.shards.corpus import Corpus, Shard

_PROBED = 1 << 20  # rows of a shard whose units are checked at the start; its digest covers the rest


_NAMES_OF = {  # columns whose numbers stand for names, and the key of the schema that lists them
    "pos": "pos",
    "entity": "entity",
    "connective": "relation",
    "arc": "arc",
    **dict.fromkeys(("role1", "role2", "role3"), "role"),
}
_MOST = 256  # names that a byte can number, none included


class Annotation:
    """What the sidecars of a run's shards have in common: columns and the names of their values.

    Corpora that name their values differently (other lexicons) are read as one: a name has the number that the first
    corpus gave it, names that only later ones have follow in their order. The objective is told by
    `Objective.annotated`, once every shard is open.
    """

    def __init__(self) -> None:
        self.schema: dict[str, Any] = {}
        self._from = ""

    @property
    def dtype(self) -> np.dtype:
        """Of a row."""
        return sidecar.row_dtype(self.schema)

    def open(self, corpus: Corpus, source: str) -> "list[np.ndarray | Renumbered]":
        """Rows of a source's shards as bytes, uint8 (N, bytes per row) each, memory-mapped. UserError when a sidecar is
        missing, belongs to other tokens, has other columns than the others, or all have too many names."""
        return [self._open(corpus, shard) for shard in corpus.shards_of(source)]

    def _open(self, corpus: Corpus, shard: Shard) -> "np.ndarray | Renumbered":
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
        tables = self._numbers(reader)
        rows: np.ndarray = reader.rows.view(np.uint8).reshape(len(reader.rows), -1)
        return Renumbered(rows, tables) if tables else rows

    def _numbers(self, reader: sidecar.Reader) -> dict[int, np.ndarray]:
        """Learn the names of a sidecar: byte of its rows -> table uint8 (256,) from its numbers to ours, where they
        differ."""
        columns = [list(column) for column in reader.schema["columns"]]
        if not self.schema:
            self.schema = {"columns": columns, **{key: [""] for key in _NAMES_OF.values()}}
            self._from = str(reader.path)
        if columns != self.schema["columns"]:
            mine, theirs = (", ".join(name for name, _ in some) for some in (columns, self.schema["columns"]))
            raise UserError(
                f"{reader.path}: its columns ({mine}) differ from those of {self._from} ({theirs}); build both corpora "
                "with external annotation of the same kinds (heads, roles), or with none"
            )
        tables: dict[int, np.ndarray] = {}
        for column, key in _NAMES_OF.items():
            if column not in (reader.rows.dtype.names or ()):
                continue
            own, names = reader.names(key), self.schema[key]
            names += [name for name in own[1:] if name not in names]
            if len(names) > _MOST:
                raise UserError(
                    f"{reader.path}: with its names there are {len(names) - 1} of {key} in all corpora; at most "
                    f"{_MOST - 1} fit"
                )
            numbers = [0, *(names.index(name) for name in own[1:])]
            if numbers != list(range(len(own))):
                _, byte = reader.rows.dtype.fields[column][:2]  # type: ignore[index]
                tables[byte] = np.zeros(_MOST, np.uint8)
                tables[byte][: len(own)] = numbers
        return tables


@dataclass(frozen=True)
class Renumbered:
    """Rows uint8 (N, bytes per row) with other numbers in some bytes; slices are made when they are asked for."""

    rows: np.ndarray
    tables: dict[int, np.ndarray]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> np.ndarray:
        out = np.array(self.rows[part])
        for byte, table in self.tables.items():
            out[:, byte] = table[out[:, byte]]
        return out


def _check_units(reader: sidecar.Reader) -> None:
    """UserError unless units follow one another without gaps, and no entity or connective is empty."""
    rows = reader.rows[:_PROBED]
    if not len(rows):
        return
    flags = rows["flags"]
    if not flags[0] & sidecar.UNIT:
        raise UserError(f"{reader.path}: its first token begins no unit; {_REPAIR}")
    for column, key in _NAMES_OF.items():
        if column in (rows.dtype.names or ()) and (most := int(rows[column].max())) >= len(reader.names(key)):
            raise UserError(
                f"{reader.path}: {column} is {most}, but {len(reader.names(key)) - 1} are named; {_REPAIR}"
            )
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
