"""Twin of unit_spans.cc: spans of whole units, with an exact number of tokens and of spans.

First every span gets one unit (or clause), drawn as units.py says, never beside another span. Then spans grow by whole
units: a random token of the spans so far says which, so that their lengths come out as a random composition's do
(Polya's urn), as in T5. When that fails too often, every span is tried in turn, by units, at last by single tokens,
which cuts units. No two spans touch, and none holds a special token.
"""

from collections.abc import Callable, Sequence

import numpy as np

from taixue.base.rng import below_64, numbers

from .units import CLAUSE, CONNECTIVE, SPECIAL, WORD, Pool, UnitRules, Units

_FAILURES = 8


def unit_spans(
    tokens: np.ndarray,
    rows: np.ndarray,
    keys: np.ndarray,
    special: np.ndarray,
    noise: int,
    spans: int,
    rules: UnitRules,
) -> tuple[np.ndarray, np.ndarray]:
    """(edges int32 (B, spans, 2), cuts int32 (B,)): ascending [begin, end) that hold `noise` tokens, -1 where none were
    found; and how many units lie partly in a span."""
    edges = np.full((len(tokens), spans, 2), -1, np.int32)
    cuts = np.zeros(len(tokens), np.int32)
    for row, key in enumerate(keys.tolist()):
        found = _Spans(tokens[row].tolist(), rows[row], key, special, noise, rules)
        if found.find(spans):
            edges[row] = sorted(found.spans)
            cuts[row] = found.cuts()
    return edges, cuts


class _Spans:
    def __init__(
        self,
        tokens: Sequence[int],
        rows: np.ndarray,
        key: int,
        special: np.ndarray,
        noise: int,
        rules: UnitRules,
    ) -> None:
        units = Units(tokens, rows, special, rules)
        self._units, self._rules, self._numbers, self._left = units, rules, numbers(key), noise
        self._unit_of = [unit for unit in range(len(units)) for _ in range(units.length(unit))]
        self._barrier = [units.types[unit] == SPECIAL for unit in self._unit_of]
        self._room = [int(cap * noise) for cap in rules.caps]
        self._owner: dict[int, int] = {}  # by token, in the order in which they were taken
        self.spans: list[list[int]] = []

    def find(self, spans: int) -> bool:
        """Whether the spans were found."""
        self._anchor(spans)
        if len(self.spans) < spans:
            return False
        self._grow()
        return self._left == 0

    def cuts(self) -> int:
        """Units that lie partly in a span."""
        places = [place for span in self.spans for place in span if place < len(self._unit_of)]
        return len({self._unit_of[p] for p in places if self._units.begins[self._unit_of[p]] != p})

    def _anchor(self, spans: int) -> None:
        units, begins = self._units, self._units.begins
        weights = [
            max(weight, 1) if kind == WORD else weight for kind, weight in enumerate(self._rules.weights)
        ]
        pool = Pool(units, weights)
        while len(self.spans) < spans and pool.total():
            kind, found = pool.draw(next(self._numbers))
            first, last = units.clauses[found] if kind == CLAUSE else (found, found + 1)
            if self._open(begins[first], begins[last], kind, spans) and kind == CONNECTIVE:
                partner = units.partner(found)
                if partner >= 0 and next(self._numbers) < self._rules.pairs:
                    self._open(begins[partner], begins[partner + 1], kind, spans)

    def _open(self, begin: int, end: int, kind: int, spans: int) -> bool:
        others = spans - len(self.spans) - 1
        if others < 0 or end - begin > min(self._left - others, self._room[kind]):
            return False
        if any(place in self._owner for place in range(begin - 1, end + 1)):
            return False
        self.spans.append([begin, begin])
        self._room[kind] -= end - begin
        self._extend(len(self.spans) - 1, end)
        return True

    def _grow(self) -> None:
        failures = 0
        while self._left > 0 and failures < _FAILURES:
            number = next(self._numbers)
            taken = list(self._owner.values())
            span, right = taken[below_64(number, len(taken))], bool(number & 1)
            failures = 0 if self._whole(span, right) or self._whole(span, not right) else failures + 1
        self._sweep(self._whole)
        self._sweep(self._single)

    def _sweep(self, step: Callable[[int, bool], bool]) -> None:
        """Try every span and side again and again, until nothing changes."""
        if not self._left:
            return
        start, moved = below_64(next(self._numbers), len(self.spans)), True
        while moved and self._left:
            moved = False
            for k in range(len(self.spans)):
                span = (start + k) % len(self.spans)
                moved |= self._left > 0 and (step(span, True) or step(span, False))

    def _whole(self, span: int, right: bool) -> bool:
        """Add the unit to the right or left; no span may come to touch another."""
        place = self._beside(span, right)
        if not self._is_free(place):
            return False
        unit = self._unit_of[place]
        begin, end = self._units.begins[unit], self._units.begins[unit + 1]
        kind, size = self._units.types[unit], end - begin
        if place != (begin if right else end - 1) or size > self._room[kind]:
            return False
        if not self._fits(end if right else begin - 1, size):
            return False
        self._room[kind] -= size
        self._extend(span, end if right else begin)
        return True

    def _single(self, span: int, right: bool) -> bool:
        place = self._beside(span, right)
        if not self._is_free(place) or not self._fits(place + 1 if right else place - 1, 1):
            return False
        self._extend(span, place + 1 if right else place)
        return True

    def _beside(self, span: int, right: bool) -> int:
        return self.spans[span][1] if right else self.spans[span][0] - 1

    def _is_free(self, place: int) -> bool:
        inside = 0 <= place < len(self._unit_of)
        return inside and place not in self._owner and not self._barrier[place]

    def _fits(self, beyond: int, size: int) -> bool:
        return size <= self._left and beyond not in self._owner

    def _extend(self, span: int, to: int) -> None:
        side = int(to > self.spans[span][0])
        edge = self.spans[span][side]
        places = range(min(edge, to), max(edge, to))
        self._owner |= dict.fromkeys(places, span)
        self._left -= len(places)
        self.spans[span][side] = to
