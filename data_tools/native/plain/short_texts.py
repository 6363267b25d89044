"""Twin of short_texts.cc: texts too short for n-grams, found as whole texts, lines and clauses of others.

A text of 1 or 2 units is found only where it is the whole of the other text; one of 3 to 5, or of fewer with 6 letters
(the name of a product), where it is a whole line; a longer one where it begins and ends at edges of clauses
(punctuation, white space, the text's ends), from 8 units on also where only one of its ends is such an edge. A unit may
be changed, left out or put in (two from 20 units on) in a whole line of 4 units or more, and from 8 units on in whole
clauses.
"""

from itertools import pairwise

from .match_units import Units

LINE, EDITED, CLAUSE, CONTAINED, TWO_EDITS = 3, 4, 6, 8, 20
LINE_LETTERS = 6
_LINE_SEED, _SEED = 2, 3


class ShortTexts:
    """The texts looked for, each with its owner."""

    def __init__(self) -> None:
        self._texts: list[tuple[list[int], int]] = []
        self._lines: list[tuple[list[int], int]] = []  # those of a unit or two with letters enough

    def add(self, units: Units, owner: int) -> None:
        text = [unit.value for unit in units.units], owner
        self._texts.append(text)
        letters = sum(unit.end - unit.begin for unit in units.units)
        if len(units.units) < LINE and letters >= LINE_LETTERS:
            self._lines.append(text)

    def find(self, units: Units) -> tuple[int, int, int] | None:
        """(first unit, last + 1, owner) of the first text that is found."""
        values = [unit.value for unit in units.units]
        for own, owner in self._texts:
            if len(own) < LINE and own == values:
                return 0, len(own), owner
        longer = [one for one in self._texts if len(one[0]) >= CLAUSE]
        lines = [one for one in self._texts if LINE <= len(one[0]) < CLAUSE]
        for texts, edges, seed in ((longer, units.edges, _SEED), (lines, units.lines, _LINE_SEED)):
            for edge in edges:
                for own, owner in texts:
                    if edge + seed <= len(values) and own[:seed] == values[edge : edge + seed]:
                        for end in _ends(own, len(values), edge, 1):
                            if _is_found(own, values, edge, end, units):
                                return edge, end, owner
                for own, owner in texts:
                    if edge >= seed and own[-seed:] == values[edge - seed : edge]:
                        for begin in _ends(own, len(values), edge, -1):
                            if _is_found(own, values, begin, edge, units):
                                return begin, edge, owner
        for begin, end in pairwise(units.lines):
            for own, owner in self._lines:
                if own == values[begin:end]:
                    return begin, end, owner
        return None


def _ends(own: list[int], count: int, edge: int, direction: int) -> list[int]:
    """Other ends that are tried for a text with one end at this edge: the unchanged one first."""
    edits = _edits(own)
    sizes = [len(own), *range(len(own) - edits, len(own) + edits + 1)]
    return [end for size in sizes if 0 <= (end := edge + direction * size) <= count]


def _is_found(own: list[int], values: list[int], begin: int, end: int, units: Units) -> bool:
    """Whether the text is these units, which have at least one end at an edge."""
    is_clause = begin in units.edges and end in units.edges
    is_line = begin in units.lines and end in units.lines
    if own == values[begin:end] and (is_line or len(own) >= (CLAUSE if is_clause else CONTAINED)):
        return True
    may_differ = is_line or (is_clause and len(own) >= CONTAINED)
    return may_differ and _are_near(own, values[begin:end], _edits(own))


def _edits(own: list[int]) -> int:
    return 0 if len(own) < EDITED else 1 if len(own) < TWO_EDITS else 2


def _are_near(a: list[int], b: list[int], edits: int) -> bool:
    """Whether the edit distance is at most this."""
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], min(before + (one != other), row[j] + 1, row[j - 1] + 1)
    return row[-1] <= edits
