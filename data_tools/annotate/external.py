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
    offsets      "characters", or "utf-16" for units of UTF-16; where it is left out, the record shows it

What a record has replaces what the built-in annotators found in that document; what it lacks stays theirs. Words hold
every character but white space, heads every word. A record that cannot be used (offsets outside the text, spans that
overlap, words that end early) is left out as a whole and counted with the reason; so are records that no document
uses, that several use, and those of a text that has one already.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from taixue.base import UserError
from taixue.base.charts import counted

from .. import read
from . import external_record
from .layered_text import Characters, Layers, Spans

LABELLED = {"pos": "words", "entity": "entities", "relation": "connectives", "arc": "heads", "role": "roles"}


@dataclass(frozen=True)
class External:
    """Where each document's record is, and the labels that occur. digest: of what the files hold, for stamps.

    usual: what the records of each file count offsets in, where one of them shows it.
    """

    files: tuple[str, ...]
    keys: np.ndarray  # uint64 (N,), ascending: the first 8 bytes of the texts' SHA-256
    places: np.ndarray  # int64 (N, 2): number of the file, byte in it
    labels: dict[str, tuple[str, ...]]
    usual: tuple[external_record.Offsets | None, ...]
    digest: str

    def find(self, text: str) -> int | None:
        """Number of the record of a text: the first where several have it."""
        key = _key(text)
        k = int(np.searchsorted(self.keys, key))
        if k == len(self.keys) or self.keys[k] != key:
            return None
        return k

    def record(self, number: int, text: str) -> external_record.Record:
        """A record, which must be of this text. RefusedError when it cannot be used."""
        file, place = self.places[number].tolist()
        with open(self.files[file], "rb") as stream:
            stream.seek(place)
            return external_record.usable(orjson.loads(stream.readline()), text, self.usual[file])

    def repeated(self) -> int:
        """How many records are of a text that an earlier one is of."""
        return int((self.keys[1:] == self.keys[:-1]).sum())


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
    usual: list[external_record.Offsets | None] = []
    for number, path in enumerate(paths):
        if path.suffix != ".jsonl":
            raise UserError(f"{path}: external annotation is read from plain .jsonl files")
        place = 0
        shown: dict[external_record.Offsets, int] = {}  # a line where it must be so
        with path.open("rb") as stream:
            for count, line in enumerate(stream, 1):
                digest.update(line)
                try:
                    record = orjson.loads(line)
                    key = _record_key(record)
                    for name, layer in LABELLED.items():
                        labels[name].update(external_record.labels(record, layer))
                    if "text" in record and (kind := external_record.offsets_of(record, record["text"])):
                        shown.setdefault(kind, count)
                except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
                    raise UserError(f"{path}: line {count}: no annotation record: {error}") from None
                keys.append(key)
                places.append((number, place))
                place += len(line)
        if len(shown) > 1:
            both = " and ".join(f"{kind} in line {line}" for kind, line in shown.items())
            raise UserError(f"{path}: offsets can only be {both}; a record says which by `offsets`")
        usual.append(next(iter(shown), None))
    order = np.argsort(np.array(keys, np.uint64), kind="stable")
    return External(
        tuple(map(str, paths)),
        np.array(keys, np.uint64)[order],
        np.array(places, np.int64).reshape(-1, 2)[order],
        {name: tuple(sorted(found)) for name, found in labels.items()},
        tuple(usual),
        digest.hexdigest(),
    )


def _record_key(record: dict[str, Any]) -> int:
    if "sha256" in record:
        digest = bytes.fromhex(record["sha256"])
        if len(digest) != 32:
            raise ValueError(f"sha256 has {len(digest)} bytes, not 32")
        return int.from_bytes(digest[:8], "big")
    if "text" not in record:
        raise ValueError(f"neither text nor sha256; its fields: {', '.join(record) or 'none'}")
    return _key(record["text"])


def _key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


class Overlay:
    """Puts external records over the layers of a batch. names: label -> number, by column."""

    def __init__(self, external: External, names: dict[str, dict[str, int]]) -> None:
        self._external = external
        self._names = names
        self._uses = np.zeros(len(external.keys), np.int32)

    def __call__(self, characters: Characters, layers: Layers, counts: Counter[str]) -> None:
        """Change layers in place; count found, missing and refused records."""
        for number, text in enumerate(characters.texts):
            found = self._external.find(text)
            if found is None:
                counts["external_missing"] += 1
                continue
            self._uses[found] += 1
            try:
                record = self._external.record(found, text)
            except external_record.RefusedError as reason:
                counts["external_refused"] += 1
                counts[f"external_refused: {reason}"] += 1
                continue
            counts["external_found"] += 1
            counts["external_utf16"] += record.offsets == "utf-16"
            begin = int(characters.begins[number])
            self._put(record, begin, begin + len(text), layers)

    def uses(self) -> dict[str, Any]:
        """What `together` adds up: how many records there are, and how many documents each had, as [first record,
        last + 1, documents] where any."""
        edges = [0, *(np.flatnonzero(np.diff(self._uses)) + 1).tolist(), len(self._uses)]
        runs = [[low, high, int(self._uses[low])] for low, high in pairwise(edges) if low < high]
        return {
            "records": len(self._uses),
            "repeated": self._external.repeated(),
            "documents": [run for run in runs if run[2]],
        }

    def _put(self, record: external_record.Record, begin: int, end: int, layers: Layers) -> None:
        words = record.words
        if words is not None and layers.word_starts is not None and layers.pos is not None:
            layers.word_starts[begin:end] = False
            layers.pos[begin:end] = 0
            if end > begin:
                layers.word_starts[begin] = True
            for start, stop, pos in words:
                layers.word_starts[begin + start] = True
                layers.word_starts[begin + stop] = True
                layers.pos[begin + start : begin + stop] = self._names["pos"][pos] if pos else 0
        for own, starts in (
            (record.clauses, layers.clause_starts),
            (record.sentences, layers.sentence_starts),
        ):
            if own is not None and starts is not None and end > begin:
                starts[begin:end] = False
                # A text begins one, whatever a record says; none begins at its end.
                starts[[begin, *(begin + start for start in own if begin + start < end)]] = True
        if record.entities is not None:
            layers.entities, _ = _replaced(
                layers.entities, record.entities, begin, end, self._names["entity"]
            )
        if record.connectives is not None:
            layers.connectives, kept = _replaced(
                layers.connectives, record.connectives, begin, end, self._names["relation"]
            )
            layers.firsts = np.append(layers.firsts, False)[kept]
            layers.seconds = np.append(layers.seconds, False)[kept]
        if words is not None and layers.heads is not None and layers.arcs is not None:
            for word, head, label in record.heads or ():
                part = slice(begin + words[word][0], begin + words[word][1])
                layers.heads[part] = begin + words[head][0] if head >= 0 else -1
                layers.arcs[part] = self._names["arc"][label]
        if words is not None and layers.roles is not None:
            # The predicates of a sentence share the three columns in the order in which they come.
            for predicate, start, stop, role in record.roles or ():
                column = _column(record, words, predicate)
                if column < 3:
                    layers.roles[column, begin + start : begin + stop] = self._names["role"][role]


def together(counts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the counts of all annotators with one external annotation say; {} without any.

    Of the records: how many there are, are used, by several documents, by none, and are of a text that has one already.
    Of the documents: how many have a record that was used ("documents"), have none, or one that cannot be used, by
    reason ("refused").
    """
    uses = [one["external_uses"] for one in counts if "external_uses" in one]
    if not uses:
        return {}
    times = np.zeros(uses[0]["records"], np.int64)
    for use in uses:
        for first, end, documents in use["documents"]:
            times[first:end] += documents
    total: Counter[str] = Counter()
    for one in counts:
        total.update({name: count for name, count in one.items() if isinstance(count, int)})
    repeated, used = uses[0]["repeated"], int((times > 0).sum())
    refused = "external_refused: "
    return {
        "records": len(times),
        "used": used,
        "used_again": int((times > 1).sum()),
        "unused": len(times) - used - repeated,
        "repeated": repeated,
        "documents": total["external_found"],
        "missing": total["external_missing"],
        "refused": {
            name.removeprefix(refused): count
            for name, count in total.most_common()
            if name.startswith(refused)
        },
    }


def remarks(found: dict[str, Any]) -> Iterator[str]:
    """What is said of `together` at the end of a build, a line each."""
    if found:
        again = f" ({found['used_again']:,} of them by several documents)" if found["used_again"] else ""
        yield (
            f"external annotation: {counted(found['records'], 'record')}: {found['used']:,} used{again}, "
            f"{found['unused']:,} of no document, {found['repeated']:,} of a text that has one already"
        )
        yield (
            f"external annotation: {counted(found['documents'], 'document')} annotated by it, "
            f"{found['missing']:,} without a record, {sum(found['refused'].values()):,} with one that cannot be used"
        )
        for reason, count in found["refused"].items():
            yield f"external annotation: {counted(count, 'document')} refused: {reason}"


def _column(record: external_record.Record, words: Sequence[Sequence[Any]], predicate: int) -> int:
    """Which of the predicates of its sentence it is."""
    place = words[predicate][0]
    sentence = max((start for start in record.sentences or () if start <= place), default=0)
    predicates = sorted({words[item[0]][0] for item in record.roles or ()})
    return sum(sentence <= other < place for other in predicates)


def _replaced(
    spans: Spans, items: Sequence[Sequence[Any]], begin: int, end: int, names: dict[str, int]
) -> tuple[Spans, np.ndarray]:
    """(spans with those of [begin, end) replaced, where each came from; -1: new)."""
    low, high = np.searchsorted(spans.starts, [begin, end])
    new = sorted((begin + item[0], begin + item[1], names[item[2]]) for item in items)
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
