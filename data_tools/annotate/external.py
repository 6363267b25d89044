"""Annotation by other tools (LTP, HanLP, spaCy, people), brought in as JSON lines.

One object per document, found by its text, which must be the text as it is tokenized (cleaned; `taixue corpus build`
without annotation shows it):
    text         the document; or sha256, the digest of its UTF-8 in hex
    words        [[start, end, pos], ...]          character offsets, end exclusive; pos may be left out
    entities     [[start, end, type], ...]
    connectives  [[start, end, relation], ...]
    clauses      [start, ...]                       sentences  [start, ...]
    heads        [[word, head, label], ...]         numbers of words, from 0; head -1: the root
    roles        [[predicate, start, end, role]..]  predicate: number of a word

What a record has replaces what the built-in annotators found in that document; what it lacks stays theirs. A record
that cannot be used (offsets outside the text, spans that overlap) is counted and left out, with its place.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from taixue.base import UserError

from .. import read
from .layered_text import Characters, Layers, Spans

LABELLED = {"pos": "words", "entity": "entities", "relation": "connectives", "arc": "heads", "role": "roles"}


@dataclass(frozen=True)
class External:
    """Where each document's record is, and the labels that occur. digests: what the files hold, for stamps."""

    files: tuple[str, ...]
    keys: np.ndarray  # uint64 (N,), ascending: the first 8 bytes of the texts' SHA-256
    places: np.ndarray  # int64 (N, 2): number of the file, byte in it
    labels: dict[str, tuple[str, ...]]
    digest: str

    def record(self, text: str) -> dict[str, Any] | None:
        """The record of a text."""
        key = _key(text)
        k = int(np.searchsorted(self.keys, key))
        if k == len(self.keys) or self.keys[k] != key:
            return None
        number, place = self.places[k].tolist()
        with open(self.files[number], "rb") as stream:
            stream.seek(place)
            record: dict[str, Any] = orjson.loads(stream.readline())
        return record


def open_external(inputs: tuple[str, ...]) -> External:
    """Read the files once per process, for their places and labels. UserError for lines that are no records."""
    paths = read.find_files(inputs)
    return _open(tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths))


@lru_cache(maxsize=4)
def _open(dated: tuple[tuple[Path, int, int], ...]) -> External:
    paths = [path for path, _, _ in dated]
    keys: list[int] = []
    places: list[tuple[int, int]] = []
    labels: dict[str, set[str]] = {name: set() for name in LABELLED}
    digest = hashlib.sha256()
    for number, path in enumerate(paths):
        if path.suffix != ".jsonl":
            raise UserError(f"{path}: external annotation is read from plain .jsonl files")
        place = 0
        with path.open("rb") as stream:
            for count, line in enumerate(stream, 1):
                digest.update(line)
                try:
                    record = orjson.loads(line)
                    key = _record_key(record)
                    for name, layer in LABELLED.items():
                        labels[name].update(str(item[-1]) for item in record.get(layer, ()) if len(item) > 2)
                except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
                    raise UserError(f"{path}: line {count}: no annotation record: {error}") from None
                keys.append(key)
                places.append((number, place))
                place += len(line)
    order = np.argsort(np.array(keys, np.uint64), kind="stable")
    return External(
        tuple(map(str, paths)),
        np.array(keys, np.uint64)[order],
        np.array(places, np.int64).reshape(-1, 2)[order],
        {name: tuple(sorted(found)) for name, found in labels.items()},
        digest.hexdigest(),
    )


def _record_key(record: dict[str, Any]) -> int:
    if "sha256" in record:
        return int.from_bytes(bytes.fromhex(record["sha256"])[:8], "big")
    return _key(record["text"])


def _key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


class Overlay:
    """Puts external records over the layers of a batch. names: label -> number, by column."""

    def __init__(self, external: External, names: dict[str, dict[str, int]]) -> None:
        self._external = external
        self._names = names

    def __call__(self, characters: Characters, layers: Layers, counts: Counter[str]) -> None:
        """Change layers in place; count found, missing and refused records."""
        for number, text in enumerate(characters.texts):
            record = self._external.record(text)
            if record is None:
                counts["external_missing"] += 1
            elif fault := _fault(record, len(text)):
                counts["external_refused"] += 1
                counts[f"external_refused: {fault}"] += 1
            else:
                counts["external_found"] += 1
                begin = int(characters.begins[number])
                self._put(record, begin, begin + len(text), layers)

    def _put(self, record: dict[str, Any], begin: int, end: int, layers: Layers) -> None:
        words = record.get("words")
        if words is not None and layers.word_starts is not None and layers.pos is not None:
            layers.word_starts[begin:end] = False
            layers.pos[begin:end] = 0
            if end > begin:
                layers.word_starts[begin] = True
            for start, stop, *pos in words:
                layers.word_starts[begin + start] = True
                layers.word_starts[begin + stop] = True
                if pos:
                    layers.pos[begin + start : begin + stop] = self._names["pos"][str(pos[0])]
        for layer, starts in (("clauses", layers.clause_starts), ("sentences", layers.sentence_starts)):
            if layer in record and starts is not None:
                starts[begin:end] = False
                starts[[begin + start for start in record[layer]]] = True
        if "entities" in record:
            spans, _ = _replaced(layers.entities, record["entities"], begin, end, self._names["entity"])
            layers.entities = spans
        if "connectives" in record:
            spans, kept = _replaced(
                layers.connectives, record["connectives"], begin, end, self._names["relation"]
            )
            layers.firsts = np.append(layers.firsts, False)[kept]
            layers.seconds = np.append(layers.seconds, False)[kept]
            layers.connectives = spans
        if words is not None and layers.heads is not None and layers.arcs is not None:
            for word, head, label in record.get("heads", ()):
                part = slice(begin + words[word][0], begin + words[word][1])
                layers.heads[part] = begin + words[head][0] if head >= 0 else -1
                layers.arcs[part] = self._names["arc"][str(label)]
        if words is not None and layers.roles is not None:
            # The predicates of a sentence share the three columns in the order in which they come.
            roles = record.get("roles", ())
            for predicate, start, stop, role in roles:
                column = self._column(record, predicate)
                if column < 3:
                    layers.roles[column, begin + start : begin + stop] = self._names["role"][str(role)]

    @staticmethod
    def _column(record: dict[str, Any], predicate: int) -> int:
        """Which of the predicates of its sentence it is."""
        place = record["words"][predicate][0]
        sentence = max((start for start in record.get("sentences", ()) if start <= place), default=0)
        predicates = sorted({record["words"][item[0]][0] for item in record["roles"]})
        return sum(sentence <= other < place for other in predicates)


def _replaced(
    spans: Spans, items: Sequence[Sequence[Any]], begin: int, end: int, names: dict[str, int]
) -> tuple[Spans, np.ndarray]:
    """(spans with those of [begin, end) replaced, where each came from; -1: new)."""
    low, high = np.searchsorted(spans.starts, [begin, end])
    new = sorted((begin + item[0], begin + item[1], names[str(item[2])]) for item in items)
    columns = np.array(new, np.int64).reshape(-1, 3)
    kept = np.concatenate([np.arange(low), np.full(len(new), -1), np.arange(high, len(spans.starts))])
    return (
        Spans(
            np.concatenate([spans.starts[:low], columns[:, 0], spans.starts[high:]]),
            np.concatenate([spans.ends[:low], columns[:, 1], spans.ends[high:]]),
            np.concatenate([spans.kinds[:low], columns[:, 2].astype(np.uint8), spans.kinds[high:]]),
        ),
        kept,
    )


def _fault(record: dict[str, Any], size: int) -> str:
    """Why a record cannot be used; "" when it can."""
    try:
        for layer in ("words", "entities", "connectives"):
            spans = sorted((int(item[0]), int(item[1])) for item in record.get(layer, ()))
            if any(not 0 <= start < end <= size for start, end in spans):
                return f"{layer}: an offset lies outside the text"
            if any(right[0] < left[1] for left, right in pairwise(spans)):
                return f"{layer}: two of them overlap"
            if layer != "words" and any(len(item) < 3 for item in record.get(layer, ())):
                return f"{layer}: a label is missing"
        for layer in ("clauses", "sentences"):
            if any(not 0 <= int(start) < size for start in record.get(layer, ())):
                return f"{layer}: an offset lies outside the text"
        count = len(record.get("words", ()))
        for word, head, _ in record.get("heads", ()):
            if not (0 <= word < count and -1 <= head < count):
                return "heads: no such word"
        for predicate, start, end, _ in record.get("roles", ()):
            if not (0 <= predicate < count and 0 <= start < end <= size):
                return "roles: no such word, or an offset outside the text"
    except (TypeError, ValueError, IndexError, KeyError):
        return "not of the documented form"
    return ""
