"""Twin of match_units.cc: a text as units that are compared.

A unit is a hanzi, kana or hangul, or a run of other letters and digits; everything else only separates. Characters
count in their canonical form: NFKC (width, radicals, circled digits, unit signs), lower case, and one form for
traditional, simplified and variant hanzi. A word's hash is the sum of its characters', each mixed with its place.
"""

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np

from .characters import folding
from .hashes import murmur
from .variants import VARIANTS

_MASK = (1 << 64) - 1
_PLACE = 0x632BE59BD9B4E019
_WORD_PART, _SINGLE, _SEVERAL = 1, 2, 3  # 0: it separates
_NEWLINE = 1
_SINGLES = (
    *((0x3040, 0x3100), (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xAC00, 0xD7B0), (0xF900, 0xFB00)),
    (0x20000, 0x32000),
)


class Unit(NamedTuple):
    """value: a single's character, a word's hash; [begin, end): its characters."""

    value: int
    hash: int
    begin: int
    end: int


class Units(NamedTuple):
    """units of a text; edges: those before which a clause begins, the first 0, the last their number; lines: the same
    of lines."""

    units: list[Unit]
    edges: list[int]
    lines: list[int]


def split(text: str) -> Units:
    """The units of a text."""
    entries, several = tables()
    points: list[tuple[int, int]] = []
    for place, character in enumerate(text):
        entry = int(entries[ord(character)])
        ones = several[entry & 0xFFFFFF] if entry >> 24 == _SEVERAL else [entry]
        points += [(one, place) for one in ones]
    units: list[Unit] = []
    edges, lines = [0], [0]
    word: list[tuple[int, int]] = []
    for entry, place in [*points, (_NEWLINE, len(text))]:
        kind, point = entry >> 24, entry & 0xFFFFFF
        if kind == _WORD_PART:
            word.append((point, place))
            continue
        if word:
            parts = (murmur((one + number * _PLACE) & _MASK) for number, (one, _) in enumerate(word))
            hash_ = sum(parts) & _MASK
            units.append(Unit(hash_, hash_, word[0][1], word[-1][1] + 1))
            word = []
        if kind == _SINGLE:
            units.append(Unit(point, murmur(point), place, place + 1))
            continue
        if edges[-1] != len(units):
            edges.append(len(units))
        if entry == _NEWLINE and lines[-1] != len(units):
            lines.append(len(units))
    return Units(units, edges, lines)


@cache
def tables() -> tuple[np.ndarray, list[list[int]]]:
    """uint32 of every code point: kind << 24 | canonical character, or the number of the entries it stands for; of what
    separates, whether it ends a line."""
    entries = np.zeros(0x110000, np.uint32)
    for code in range(0x3000):
        if unicodedata.category(chr(code))[0] in "LN":
            entries[code] = _WORD_PART << 24 | ord(chr(code).lower()[0])
    for low, high in _SINGLES:
        entries[low:high] = _SINGLE << 24 | np.arange(low, high, dtype=np.uint32)
    for variant, canonical in VARIANTS.items():
        entries[ord(variant)] = _SINGLE << 24 | ord(canonical)
    entries[ord("\n")] = _NEWLINE
    several: list[list[int]] = []
    folded = {
        ord(one): [entry for other in many if (entry := int(entries[ord(other)]))]
        for one, many in sorted(folding().mapped.items())
    }
    for code, ones in folded.items():
        entries[code] = ones[0] if len(ones) == 1 else (_SEVERAL << 24 | len(several) if ones else 0)
        if len(ones) > 1:
            several.append(ones)
    return entries, several
