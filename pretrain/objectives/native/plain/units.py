"""Twin of units.cc: cut windows into units by their annotation, and draw some of them.

A unit is a word, an entity, a connective, an idiom (a word with one of some parts of speech) or a special token, which
is never drawn. Units partition a window. A type that the rules leave out is no layer: its tokens are plain words. A
clause lies over units: what follows a connective, up to the next clause, without the marks that close it.

Drawing is weighted sampling without replacement, in integers: a type by its weight times what is left of it, then one
of those, all alike. A unit that does not fit in what is left of the budget, or of its type's cap, is passed over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from taixue.base.rng import below_64, number_at, numbers
from taixue.data_tools.shards import sidecar

WORD, ENTITY, CONNECTIVE, IDIOM, CLAUSE = TYPES = range(5)
TYPE_NAMES = ("word", "entity", "connective", "idiom", "clause")
RELATION, SPECIAL = 5, 6
NO_RELATION = -100


@dataclass(frozen=True)
class UnitRules:
    """What is drawn, how readily, how much of it.

    weights: integers, by type. caps: largest share of the budget, by type. layers: types that exist. idioms, closing:
    parts of speech. longest_clause: tokens. pairs: the partner of a connective is drawn when a 64-bit number is below.
    ngrams: as many following words are drawn with a word as of these limits a 64-bit number reaches; () or longest - 1
    of them. relation: one connective, and its partner, is taken out first, whatever the weights.
    """

    weights: tuple[int, int, int, int, int]
    caps: tuple[float, float, float, float, float] = (1.0,) * 5
    layers: frozenset[int] = frozenset(TYPES)
    idioms: frozenset[int] = frozenset()
    closing: frozenset[int] = frozenset()
    longest_clause: int = 16
    pairs: int = 0
    ngrams: tuple[int, ...] = ()
    relation: bool = False


class Units:
    """One window cut into units. begins has one entry more than types; clauses are ranges of units."""

    def __init__(
        self, tokens: Sequence[int], rows: np.ndarray, special: np.ndarray, rules: UnitRules
    ) -> None:
        self._rows = rows.tolist()
        self.begins: list[int] = []
        self.types: list[int] = []
        before, before_value = SPECIAL, 0
        for place, (token, row) in enumerate(zip(tokens, self._rows, strict=True)):
            flags, pos, entity, connective = row[:4]
            value, starts = 0, False
            if special[token]:
                kind, starts = SPECIAL, True
            elif ENTITY in rules.layers and entity:
                kind, value, starts = ENTITY, entity, bool(flags & sidecar.ENTITY)
            elif CONNECTIVE in rules.layers and connective:
                kind, value, starts = CONNECTIVE, connective, bool(flags & sidecar.CONNECTIVE)
            else:
                kind = IDIOM if IDIOM in rules.layers and pos in rules.idioms else WORD
                starts = before not in (WORD, IDIOM) or bool(flags & sidecar.UNIT)
            if kind in (ENTITY, CONNECTIVE):
                starts |= kind != before or value != before_value
            if starts:
                self.begins.append(place)
                self.types.append(kind)
            before, before_value = kind, value
        self.begins.append(len(tokens))
        self.connectives = [unit for unit, kind in enumerate(self.types) if kind == CONNECTIVE]
        self.clauses = self._clauses(rules) if CLAUSE in rules.layers else []

    def __len__(self) -> int:
        return len(self.types)

    def length(self, unit: int) -> int:
        """Tokens of a unit."""
        return self.begins[unit + 1] - self.begins[unit]

    def relation(self, unit: int) -> int:
        """Class of a connective."""
        return int(self._rows[self.begins[unit]][3])

    def partner(self, unit: int) -> int:
        """The other member of a connective's pair, -1 without one: the nearest of the same class."""
        here = self.connectives.index(unit)
        if self._flags(unit) & sidecar.PAIR_FIRST:
            others, wanted = self.connectives[here + 1 :], sidecar.PAIR_SECOND
        elif self._flags(unit) & sidecar.PAIR_SECOND:
            others, wanted = self.connectives[:here][::-1], sidecar.PAIR_FIRST
        else:
            return -1
        same = self.relation(unit)
        return next((k for k in others if self._flags(k) & wanted and self.relation(k) == same), -1)

    def _clauses(self, rules: UnitRules) -> list[tuple[int, int]]:
        found = []
        for connective in self.connectives:
            first = last = connective + 1
            while last < len(self) and self.types[last] != SPECIAL and not self._flags(last) & sidecar.CLAUSE:
                last += 1
            while last > first and self._rows[self.begins[last - 1]][1] in rules.closing:
                last -= 1
            if 2 <= self.begins[last] - self.begins[first] <= rules.longest_clause:
                found.append((first, last))
        return found

    def _flags(self, unit: int) -> int:
        return int(self._rows[self.begins[unit]][0])


class Pool:
    """What is left to draw, by type."""

    def __init__(self, units: Units, weights: Sequence[int]) -> None:
        self._weights = weights
        self._left = [[unit for unit, kind in enumerate(units.types) if kind == one] for one in TYPES]
        self._left[CLAUSE] = list(range(len(units.clauses)))

    def total(self) -> int:
        """Sum of the weights of what is left."""
        return sum(weight * len(part) for weight, part in zip(self._weights, self._left, strict=True))

    def draw(self, number: int) -> tuple[int, int]:
        """(type, unit), or (CLAUSE, place in units.clauses)."""
        place = below_64(number, self.total())
        kind = 0
        while place >= self._weights[kind] * len(self._left[kind]):
            place -= self._weights[kind] * len(self._left[kind])
            kind += 1
        index, part = place // self._weights[kind], self._left[kind]
        part[index], found = part[-1], part[index]
        part.pop()
        return kind, found


def budget_of(real: int, share: float) -> int:
    """Tokens to choose of `real` that are not special."""
    return min(max(round(real * share), 1), real)


def mark(first: int, kind: int) -> int:
    """What a chosen token is marked with: its unit's first token and type."""
    return (first + 1) << 3 | kind


def choose_tokens(tokens: np.ndarray, keys: np.ndarray, special: np.ndarray, share: float) -> np.ndarray:
    """marks int32 (B, N): a uniformly random subset of the tokens that are not special."""
    marks = np.zeros(tokens.shape, np.int32)
    for row, key in enumerate(keys.tolist()):
        places = np.flatnonzero(~special[tokens[row]].astype(bool)).tolist()
        ranked = sorted(places, key=lambda place: (number_at(key, place) >> 20 << 20) | place)
        for place in ranked[: budget_of(len(places), share)]:
            marks[row, place] = mark(place, WORD)
    return marks


def choose_units(
    tokens: np.ndarray,
    rows: np.ndarray,
    keys: np.ndarray,
    special: np.ndarray,
    share: float,
    rules: UnitRules,
) -> tuple[np.ndarray, np.ndarray]:
    """(marks int32 (B, N), relations int64 (B,)) of tokens (B, N) and the bytes of their rows (B, N, >= 4)."""
    marks, relations = np.zeros(tokens.shape, np.int32), np.full(len(tokens), NO_RELATION)
    for row, key in enumerate(keys.tolist()):
        units = Units(tokens[row].tolist(), rows[row], special, rules)
        choice = _Choice(units, rules, key, share)
        if rules.relation:
            relations[row] = choice.take_out_relation()
        choice.run()
        for place, value in choice.marks.items():
            marks[row, place] = value
    return marks, relations


class _Choice:
    """Draws units of one window until the budget is met. marks: by token."""

    def __init__(self, units: Units, rules: UnitRules, key: int, share: float) -> None:
        real = sum(units.length(unit) for unit, kind in enumerate(units.types) if kind != SPECIAL)
        budget = budget_of(real, share)
        self._units, self._rules, self._numbers, self._left = units, rules, numbers(key), budget
        self._room = [int(cap * budget) for cap in rules.caps]
        self.marks: dict[int, int] = {}

    def take_out_relation(self) -> int:
        """The class of a connective that is masked with its partner; NO_RELATION without one."""
        units = self._units
        if not units.connectives:
            return NO_RELATION
        unit = units.connectives[below_64(next(self._numbers), len(units.connectives))]
        if not self._mark(unit, unit + 1, RELATION):
            return NO_RELATION
        partner = units.partner(unit)
        if partner >= 0:
            self._mark(partner, partner + 1, RELATION)
        return units.relation(unit)

    def run(self) -> None:
        """Draw until nothing is left of the budget or of the units."""
        units, rules = self._units, self._rules
        pool = Pool(units, rules.weights)
        while self._left > 0 and pool.total():
            kind, found = pool.draw(next(self._numbers))
            if kind == CLAUSE:
                self._take(*units.clauses[found], CLAUSE)
            elif kind == WORD and rules.ngrams:
                self._take_ngram(found)
            elif self._take(found, found + 1, kind) and kind == CONNECTIVE:
                partner = units.partner(found)
                if partner >= 0 and next(self._numbers) < rules.pairs:
                    self._take(partner, partner + 1, CONNECTIVE)

    def _take_ngram(self, unit: int) -> None:
        """Words from `unit` on; each is a unit of its own."""
        number = next(self._numbers)
        words = 1
        while words < len(self._rules.ngrams) and number >= self._rules.ngrams[words - 1]:
            words += 1
        for following in range(unit, min(unit + words, len(self._units))):
            if self._units.types[following] != WORD or not self._take(following, following + 1, WORD):
                return

    def _take(self, first: int, last: int, kind: int) -> bool:
        size = len(self._missing(first, last))
        if size > self._room[kind] or not self._mark(first, last, kind):
            return False
        self._room[kind] -= size
        return True

    def _missing(self, first: int, last: int) -> list[int]:
        begins = self._units.begins
        return [place for place in range(begins[first], begins[last]) if place not in self.marks]

    def _mark(self, first: int, last: int, kind: int) -> bool:
        """Mark all tokens that are not marked yet, if there are any and all of them fit."""
        missing = self._missing(first, last)
        if not 0 < len(missing) <= self._left:
            return False
        self.marks |= dict.fromkeys(missing, mark(self._units.begins[first], kind))
        self._left -= len(missing)
        return True
