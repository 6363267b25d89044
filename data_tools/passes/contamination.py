"""Which documents hold a text of an evaluation set (native.Ngrams says what is compared and what is found)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from taixue.base import UserError

from .. import native, read
from ..clean.cleaner import Cleaner
from ..clean.config import NormalizeConfig
from ..config import DecontaminateConfig
from ..native.plain.short_texts import CLAUSE, LINE, LINE_LETTERS

_FEWCLUE_EXCLUDE = ("unlabeled",)
_LABEL_CHARACTERS = 24
_BATCH = 4096
WAYS = ("n-grams", "clauses", "lines", "whole documents")  # how texts are looked for
COUNTS = ("rows", "texts", *WAYS, "not covered", "documents")


class _Text(NamedTuple):
    """A text of a row and the path of its field."""

    field: str
    text: str


class EvaluationSets:
    """The texts of evaluation files, in each form that a document can have: as they are, and as each of these settings
    of normalisation makes them. UserError when a file cannot be used or gives no text.

    A row's texts are its strings, each by itself; a list of strings is one text, of all of them. Without
    config.fields, fields of short values that repeat (labels) are left out.
    coverage: by evaluation set (the folder of the file below its input, or the file), the COUNTS but documents.
    """

    def __init__(self, config: DecontaminateConfig, normalize: Iterable[NormalizeConfig] = ()) -> None:
        exclude = config.exclude + (_FEWCLUE_EXCLUDE if config.preset == "fewclue" else ())
        paths = [
            path for path in read.find_files(config.inputs) if not any(part in path.name for part in exclude)
        ]
        self.files = [str(path) for path in paths]
        self.names = [_name(path, config.inputs) for path in paths]
        self.coverage = {name: dict.fromkeys(COUNTS[:-1], 0) for name in self.names}
        cleaners = [Cleaner(one, None) for one in dict.fromkeys(normalize)]
        self._forms: list[
            int
        ] = []  # 1 for each text as it is, 0 for each other form of it, in the order added
        self._owners: list[int] = []
        self._letters: list[int] = []  # of each text as it is
        self._ngrams = native.Ngrams(config.ngram, self._owned(paths, config, cleaners))
        units = self._ngrams.units[np.array(self._forms, bool)]
        reach = {
            "n-grams": config.ngram,
            "clauses": CLAUSE,
            "lines": LINE,
            "whole documents": 1,
            "not covered": 0,
        }
        for owner, count, letters in zip(self._owners, units.tolist(), self._letters, strict=True):
            count = LINE if 0 < count < LINE and letters >= LINE_LETTERS else count
            kind = next(kind for kind, least in reach.items() if count >= least)
            self.coverage[self.names[owner]][kind] += 1
        if not units.any():
            raise UserError(f"decontaminate: no text in {', '.join(config.inputs)}")

    def _owned(
        self, paths: list[Path], config: DecontaminateConfig, cleaners: list[Cleaner]
    ) -> Iterator[tuple[list[str], int]]:
        for owner, path in enumerate(paths):
            rows = [*read.rows(path)]
            texts = [text for row in texts_of(path, rows, config.fields) for text in row]
            counts = self.coverage[self.names[owner]]
            counts["rows"] += len(rows)
            counts["texts"] += len(texts)
            self._owners += [owner] * len(texts)
            self._letters += [sum(map(str.isalnum, text)) for text in texts]
            for begin in range(0, len(texts), _BATCH):
                part = texts[begin : begin + _BATCH]
                self._forms += [1] * len(part)
                yield part, owner
                for cleaner in cleaners:
                    made = native.strings(cleaner.clean(part)[0])
                    changed = [new for old, new in zip(part, made, strict=True) if new != old]
                    self._forms += [0] * len(changed)
                    yield changed, owner

    def find(self, texts: native.Texts) -> list[tuple[int, int, int, int]]:
        """Of each text that holds one of theirs, its number, that of the evaluation file, and the first character and
        the last + 1 of what was found first."""
        return [(text, owner, begin, end) for text, begin, end, owner in self._ngrams.find(texts).tolist()]

    def counts(self, hits: Counter[int]) -> dict[str, dict[str, int]]:
        """The COUNTS by evaluation set; hits: documents by the number of the file they are a hit of."""
        documents: Counter[str] = Counter()
        for owner, count in hits.items():
            documents[self.names[owner]] += count
        return {name: counts | {"documents": documents[name]} for name, counts in self.coverage.items()}


def merge_sets(counts: Iterable[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """The COUNTS by evaluation set of a corpus, from those of its shards: only documents differ between them."""
    merged: dict[str, dict[str, int]] = {}
    for one in counts:
        for name, entry in one.items():
            hits = merged.get(name, {}).get("documents", 0)
            merged[name] = entry | {"documents": hits + entry["documents"]}
    return merged


def summary(entry: dict[str, int]) -> dict[str, int]:
    """The COUNTS of a set in short: all that is looked for, whatever as."""
    looked_for = sum(entry[way] for way in WAYS)
    return {
        "rows": entry["rows"],
        "texts": entry["texts"],
        "looked for": looked_for,
        "not covered": entry["not covered"],
        "taken": entry["documents"],
    }


def _name(path: Path, inputs: tuple[str, ...]) -> str:
    for root in map(Path, inputs):
        if root.is_dir() and path.is_relative_to(root) and path.parent != root:
            return str(path.parent.relative_to(root))
    return path.name


def texts_of(path: Path, rows: list[Any], fields: tuple[str, ...]) -> list[list[str]]:
    """Texts of each row of a file. UserError when the rows hold none in these fields, or none but labels."""
    found = [[*_walk(row, "")] for row in rows]
    if fields:
        wanted = {
            text.field for row in found for text in row if not {*fields}.isdisjoint(text.field.split("."))
        }
    else:
        wanted = {text.field for row in found for text in row} - _labels(found)
    kept = [[text.text for text in row if text.field in wanted] for row in found]
    if not any(character.isalnum() for row in kept for text in row for character in text):
        names = ", ".join(sorted({text.field for row in found for text in row} - {""})) or "none"
        where = f"in the fields {', '.join(fields)}" if fields else "that is no label"
        raise UserError(f"{path}: decontaminate finds no text {where}; its fields: {names}")
    return kept


def _labels(rows: list[list[_Text]]) -> set[str]:
    """Fields of short values of which most occur again, and those that have no other values than such fields."""
    values: dict[str, Counter[str]] = {}
    for field, text in (text for row in rows for text in row):
        values.setdefault(field, Counter())[text] += 1
    labels = {
        field
        for field, counts in values.items()
        if max(map(len, counts)) <= _LABEL_CHARACTERS and 2 * len(counts) <= counts.total()
    }
    known = {value for field in labels for value in values[field]}
    return {field for field, counts in values.items() if counts.keys() <= known}


def _walk(value: Any, field: str) -> Iterator[_Text]:
    if isinstance(value, str):
        yield _Text(field, value)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _walk(part, f"{field}.{key}" if field else str(key))
    elif isinstance(value, list):
        if value and all(isinstance(part, str) for part in value):
            yield _Text(field, "\n".join(value))
        else:
            for part in value:
                yield from _walk(part, field)
