"""Twin of match_units.cc: a text as units that are compared.

A unit is a hanzi, kana or hangul, or a run of other letters and digits; what has no width (zero-width marks, accents)
does not count, and everything else only separates. Characters count in their canonical form: NFKC (width, radicals,
circled digits, unit signs), lower case, without accents, and one form for traditional, simplified and variant hanzi. A
word's hash is the sum of its characters', each mixed with its place.
"""

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np

from .characters import folding, identity
from .hashes import murmur
from .variants import VARIANTS

_MASK = (1 << 64) - 1
_PLACE = 0x632BE59BD9B4E019
_WORD_PART, _SINGLE, _SEVERAL = 1, 2, 3  # 0: it separates
_NEWLINE = 1
_KANA = (0x3040, 0x3100)
_SINGLES = (
    *(_KANA, (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xAC00, 0xD7B0), (0xF900, 0xFB00)),
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
            entries[code] = _WORD_PART << 24 | _without_accent(chr(code).lower())
    for low, high in _SINGLES:
        entries[low:high] = _SINGLE << 24 | np.arange(low, high, dtype=np.uint32)
    for code in range(*_KANA):
        entries[code] = _SINGLE << 24 | _without_accent(chr(code))
    for variant, canonical in VARIANTS.items():
        entries[ord(variant)] = _SINGLE << 24 | ord(canonical)
    entries[ord("\n")] = _NEWLINE
    several: list[list[int]] = [[]]
    nothing = _SEVERAL << 24
    entries[[*_accents(), *(code for code, form in identity().items() if not form)]] = nothing
    folded = {
        ord(one): [entry for other in many if (entry := int(entries[ord(other)]))]
        for one, many in sorted(folding().mapped.items())
    }
    for code, found in folded.items():
        ones = [entry for entry in found if entry != nothing]
        if len(ones) > 1:
            entries[code] = _SEVERAL << 24 | len(several)
            several.append(ones)
        else:
            entries[code] = [*ones, *found, 0][0]
    return entries, several


def _without_accent(letter: str) -> int:
    return ord(unicodedata.normalize("NFKD", letter)[0])


def _accents() -> list[int]:
    return [code for code in range(0x20000) if unicodedata.category(chr(code)) == "Mn"]
