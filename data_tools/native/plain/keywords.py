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

    def longest(self, texts: list[str], edges: np.ndarray | None = None) -> Ragged:
        """From left to right the longest word at a place, from edge to edge; the search goes on behind it."""
        first, rows = 0, []
        for text in texts:
            own = np.ones(len(text) + 1, bool) if edges is None else edges[first : first + len(text) + 1]
            rows.append(self._longest(text, own))
            first += len(text) + 1
        return _ragged(rows)

    def counts(self, texts: list[str]) -> np.ndarray:
        """int64 (N,): how many matches `longest` has."""
        return np.diff(self.longest(texts).offsets)

    def _longest(self, text: str, edges: np.ndarray) -> list[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = []
        begin = 0
        while begin < len(text):
            here = [match for match in self._at(text, begin) if edges[begin] and edges[match[1]]]
            found += here[-1:]
            begin = here[-1][1] if here else begin + 1
        return found

    def _at(self, text: str, begin: int) -> list[tuple[int, int, int]]:
        ends = [begin + length for length in self._lengths if begin + length <= len(text)]
        return [(begin, end, self._index[text[begin:end]]) for end in ends if text[begin:end] in self._index]


def _ragged(rows: list[list[tuple[int, int, int]]]) -> Ragged:
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return Ragged(np.array([match for row in rows for match in row], MATCH), offsets)
