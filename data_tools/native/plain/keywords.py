"""Twin of keywords.cc."""

from collections.abc import Sequence

import numpy as np

from .rules import MATCH, Ragged


class KeywordMatcher:
    """Finds words of a list; a word that is listed twice counts as the first."""

    def __init__(self, words: Sequence[str]) -> None:
        self._index: dict[str, int] = {}
        for number, word in enumerate(words):
            self._index.setdefault(word, number)
        self._lengths = sorted({len(word) for word in self._index})

    def find_all(self, texts: list[str]) -> Ragged:
        """Every occurrence, by begin, then end."""
        return _ragged(
            [[match for begin in range(len(text)) for match in self._at(text, begin)] for text in texts]
        )

    def longest(self, texts: list[str]) -> Ragged:
        """From left to right the longest word at a place; the search goes on behind it."""
        return _ragged([self._longest(text) for text in texts])

    def counts(self, texts: list[str]) -> np.ndarray:
        """int64 (N,): how many matches `longest` has."""
        return np.diff(self.longest(texts).offsets)

    def _longest(self, text: str) -> list[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = []
        begin = 0
        while begin < len(text):
            here = self._at(text, begin)
            found += here[-1:]
            begin = here[-1][1] if here else begin + 1
        return found

    def _at(self, text: str, begin: int) -> list[tuple[int, int, int]]:
        ends = [begin + length for length in self._lengths if begin + length <= len(text)]
        return [(begin, end, self._index[text[begin:end]]) for end in ends if text[begin:end] in self._index]


def _ragged(rows: list[list[tuple[int, int, int]]]) -> Ragged:
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return Ragged(np.array([match for row in rows for match in row], MATCH), offsets)
