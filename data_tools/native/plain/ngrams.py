"""Twin of ngrams.cc.

A unit is a hanzi, kana or hangul, or a run of other letters and digits in lower case; everything else only separates.
A word's hash is the sum of its characters', each mixed with its place; an n-gram's is a polynomial in its units'.
"""

import unicodedata
from functools import cache

import numpy as np

from .hashes import murmur

_MASK = (1 << 64) - 1
_MULTIPLIER = 0x9E3779B97F4A7C15
_PLACE = 0x632BE59BD9B4E019
SEPARATOR, WORD_PART, SINGLE = 0, 1, 2
_SINGLES = (
    *((0x3040, 0x3100), (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xAC00, 0xD7B0), (0xF900, 0xFB00)),
    (0x20000, 0x32000),
)
_WIDE = ((0xFF10, 0xFF1A, "0"), (0xFF21, 0xFF3B, "a"), (0xFF41, 0xFF5B, "a"))


class Ngrams:
    """The n-grams looked for, by their hashes, each with its first owner."""

    def __init__(self, ngram: int) -> None:
        self._ngram = ngram
        self._owners: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._owners)

    def add(self, texts: list[str], owner: int) -> None:
        for text in texts:
            for hash_, _, _ in _walk(text, self._ngram):
                self._owners.setdefault(hash_, owner)

    def find(self, texts: list[str]) -> np.ndarray:
        rows = []
        for number, text in enumerate(texts):
            for hash_, begin, end in _walk(text, self._ngram):
                if hash_ in self._owners:
                    rows.append((number, begin, end, self._owners[hash_]))
                    break
        return np.array(rows, np.int64).reshape(-1, 4)


def _walk(text: str, ngram: int) -> list[tuple[int, int, int]]:
    """(hash, first character, last + 1) of each n-gram."""
    units = _units(text)
    out = []
    for first in range(len(units) - ngram + 1):
        value = 0
        for hash_, _, _ in units[first : first + ngram]:
            value = (value * _MULTIPLIER + hash_) & _MASK
        out.append((murmur(value), units[first][1], units[first + ngram - 1][2]))
    return out


def _units(text: str) -> list[tuple[int, int, int]]:
    kinds, folded = tables()
    units: list[tuple[int, int, int]] = []
    start = -1  # of the word that is open
    for place, point in enumerate([*map(ord, text), ord("\n")]):
        kind = kinds[point]
        if kind == WORD_PART:
            start = place if start < 0 else start
            continue
        if start >= 0:
            word = (int(folded[ord(c)]) for c in text[start:place])
            parts = (murmur((point + number * _PLACE) & _MASK) for number, point in enumerate(word))
            units.append((sum(parts) & _MASK, start, place))
            start = -1
        if kind == SINGLE:
            units.append((murmur(point), place, place + 1))
    return units


@cache
def tables() -> tuple[np.ndarray, np.ndarray]:
    """Kind uint8 and folded character uint32 of every code point."""
    kinds = np.zeros(0x110000, np.uint8)
    folded = np.arange(0x110000, dtype=np.uint32)
    for code in range(0x3000):
        if unicodedata.category(chr(code))[0] in "LN":
            kinds[code] = WORD_PART
            folded[code] = ord(chr(code).lower()[0])
    for low, high in _SINGLES:
        kinds[low:high] = SINGLE
    for low, high, first in _WIDE:
        kinds[low:high] = WORD_PART
        folded[low:high] = np.arange(ord(first), ord(first) + high - low)
    return kinds, folded
