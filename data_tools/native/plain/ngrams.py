"""Twin of ngrams.cc: what texts share with a fixed set of texts. An n-gram's hash is a polynomial in its units'."""

import numpy as np

from .hashes import murmur
from .match_units import Unit, split
from .short_texts import ShortTexts

_MASK = (1 << 64) - 1
_MULTIPLIER = 0x9E3779B97F4A7C15


class Ngrams:
    """The n-grams looked for, by their hashes, each with its first owner; and the texts shorter than two n-grams."""

    def __init__(self, ngram: int) -> None:
        self._ngram = ngram
        self._owners: dict[int, int] = {}
        self._short = ShortTexts()

    def add(self, texts: list[str], owner: int) -> np.ndarray:
        """Units of each text."""
        counts = []
        for text in texts:
            whole = split(text)
            units = whole.units
            counts.append(len(units))
            if 0 < len(units) < 2 * self._ngram:
                self._short.add(whole, owner)
            for hash_ in _hashes(units, self._ngram):
                self._owners.setdefault(hash_, owner)
        return np.array(counts, np.int64)

    def find(self, texts: list[str]) -> np.ndarray:
        rows = []
        for number, text in enumerate(texts):
            whole = split(text)
            units = whole.units
            hashes = enumerate(_hashes(units, self._ngram))
            found = next(
                ((first, first + self._ngram, self._owners[h]) for first, h in hashes if h in self._owners),
                None,
            ) or self._short.find(whole)
            if found:
                first, last, owner = found
                rows.append((number, units[first].begin, units[last - 1].end, owner))
        return np.array(rows, np.int64).reshape(-1, 4)


def _hashes(units: list[Unit], ngram: int) -> list[int]:
    out = []
    for first in range(len(units) - ngram + 1):
        value = 0
        for unit in units[first : first + ngram]:
            value = (value * _MULTIPLIER + unit.hash) & _MASK
        out.append(murmur(value))
    return out
