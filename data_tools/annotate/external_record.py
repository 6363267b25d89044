"""One record of another tool (external.py has its form): read as what it must be, or refused with the reason.

Offsets are characters (Unicode code points). Tools in Java or JavaScript count UTF-16 units, of which characters
above U+FFFF have two; what cannot be meant otherwise is recognised and translated.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from .layered_text import IS_BLANK

Offsets = Literal["characters", "utf-16"]
OFFSETS: tuple[Offsets, ...] = ("characters", "utf-16")

# Of the items of each layer: how many entries they may have, which of them are offsets, where the label is.
_ITEMS = {
    "words": ((2, 3), (0, 1), 2),
    "entities": ((3,), (0, 1), 2),
    "connectives": ((3,), (0, 1), 2),
    "heads": ((3,), (), 2),
    "roles": ((4,), (1, 2), 3),
}
_STARTS = ("clauses", "sentences")


class RefusedError(ValueError):
    """Why a record cannot be used."""


@dataclass(frozen=True)
class Record:
    """What a record says of its text, checked; None for a layer that it lacks. Offsets are characters."""

    offsets: Offsets
    words: list[tuple[int, int, str]] | None
    entities: list[tuple[int, int, str]] | None
    connectives: list[tuple[int, int, str]] | None
    clauses: list[int] | None
    sentences: list[int] | None
    heads: list[tuple[int, int, str]] | None
    roles: list[tuple[int, int, int, str]] | None


def labels(record: dict[str, Any], layer: str) -> Iterator[str]:
    """Labels of the items of a layer; items without one have none."""
    at = _ITEMS[layer][2]
    return (str(item[at]) for item in record.get(layer) or () if len(item) > at)


def usable(record: dict[str, Any], text: str, usual: Offsets | None = None) -> Record:
    """The record of this text. usual: what its file counts in, where that is known. RefusedError when it is of no use.

    `offsets` in a record says what it counts in. Else it is characters where that is possible, and UTF-16 units where
    only that is.
    """
    stated = record.get("offsets", usual)
    if stated not in (None, *OFFSETS):
        raise RefusedError(f"offsets: legal are {', '.join(OFFSETS)}")
    if stated is not None:
        return _read(record, text, stated)
    try:
        return _read(record, text, "characters")
    except RefusedError:
        if not text or max(text) <= "\uffff":
            raise
        try:
            return _read(record, text, "utf-16")
        except RefusedError:
            pass
        raise


def offsets_of(record: dict[str, Any], text: str) -> Offsets | None:
    """What a record must count in: one of two where only that makes it usable, else None."""
    if "offsets" in record or not text or max(text) <= "\uffff":
        return None
    found: list[Offsets] = []
    for kind in OFFSETS:
        try:
            _read(record, text, kind)
            found.append(kind)
        except RefusedError:
            pass
    return found[0] if len(found) == 1 else None


def _read(record: dict[str, Any], text: str, offsets: Offsets) -> Record:
    place = _Places(text, offsets)
    items = {layer: _items(record, layer, place) for layer in _ITEMS}
    starts = {layer: _starts(record, layer, place) for layer in _STARTS}
    for layer in ("words", "entities", "connectives"):
        spans = sorted(item[:2] for item in items[layer] or ())
        if any(not start < end for start, end in spans):
            raise RefusedError(f"{layer}: one of them ends where it starts or before")
        if any(right[0] < left[1] for left, right in pairwise(spans)):
            raise RefusedError(f"{layer}: two of them overlap")
    words, heads, roles = items["words"], items["heads"], items["roles"]
    if words is None and (heads or roles):
        raise RefusedError("heads and roles: numbers of words, but there are no words")
    count = len(words or ())
    if words is not None:
        _check_cover(words, text)
    if heads and sorted(word for word, _, _ in heads) != list(range(count)):
        raise RefusedError("heads: each word must have one")
    if any(not -1 <= head < count for _, head, _ in heads or ()):
        raise RefusedError("heads: no such word")
    if any(not (0 <= predicate < count and start < end) for predicate, start, end, _ in roles or ()):
        raise RefusedError("roles: no such word, or one ends where it starts or before")
    return Record(offsets, **items, **starts)  # type: ignore[arg-type]


class _Places:
    """From offsets to characters of a text."""

    def __init__(self, text: str, offsets: Offsets) -> None:
        self._size = len(text)
        self._places: dict[int, int] | None = None
        if offsets == "utf-16":
            self._places, at = {}, 0
            for number, character in enumerate(text):
                self._places[at] = number
                at += 1 + (character > "\uffff")
            self._places[at] = len(text)

    def __call__(self, layer: str, value: object) -> int:
        if type(value) is not int:
            raise RefusedError(f"{layer}: an offset is no whole number")
        if self._places is None:
            if 0 <= value <= self._size:
                return value
        elif value in self._places:
            return self._places[value]
        raise RefusedError(
            f"{layer}: an offset lies outside the text" + " or in a character" * bool(self._places)
        )


def _items(record: dict[str, Any], layer: str, place: _Places) -> list[tuple[Any, ...]] | None:
    lengths, offsets, label = _ITEMS[layer]
    found = _list(record, layer)
    if found is None:
        return None
    out = []
    for item in found:
        if not isinstance(item, list) or len(item) not in lengths:
            raise RefusedError(f"{layer}: an item of {' or '.join(map(str, lengths))} entries is expected")
        values = [place(layer, value) if k in offsets else value for k, value in enumerate(item[:label])]
        if any(type(value) is not int for value in values):
            raise RefusedError(f"{layer}: the number of a word is no whole number")
        out.append((*values, str(item[label]) if len(item) > label else ""))
    return out


def _starts(record: dict[str, Any], layer: str, place: _Places) -> list[int] | None:
    found = _list(record, layer)
    return None if found is None else [place(layer, value) for value in found]


def _list(record: dict[str, Any], layer: str) -> list[Any] | None:
    found = record.get(layer)
    if found is not None and not isinstance(found, list):
        raise RefusedError(f"{layer}: a list is expected")
    return found


def _check_cover(words: list[tuple[Any, ...]], text: str) -> None:
    """Words must hold every character that is no white space: what they leave out would be one long word."""
    ends = 0
    for start, end, _ in [*sorted(words), (len(text), len(text), "")]:
        if any(not IS_BLANK[ord(character)] for character in text[ends:start]):
            where = (
                "they end before the text does" if start == len(text) else "they leave out a part of the text"
            )
            raise RefusedError(f"words: {where}")
        ends = end
