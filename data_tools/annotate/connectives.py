"""Discourse connectives by an explicit list (connectives.tsv), with their relation classes and pairs.

A single connective counts where it stands as whole words; one with other uses only where it starts a clause. The
members of a pair count, whatever else they mean, where both stand in one sentence, the second after the first; of
several possible partners the nearest one is taken, looking at most REACH matches ahead.
"""

from functools import cache, cached_property
from importlib.resources import files

import numpy as np

from .. import native
from .layered_text import Characters, Spans

REACH = 8


class Connectives:
    """The list, ready to be found. relations: names of the classes, as numbered from 1.

    Of each term: single uint8 (terms,), its relation by itself (0: none), and clause_only bool (terms,); pairs uint8
    (terms, terms): the relation of a first and a second member, 0: no pair.
    """

    def __init__(self) -> None:
        singles, pairs = table()
        self.relations = sorted({relation for relation, _, _ in [*singles, *pairs]})
        number = {relation: k for k, relation in enumerate(self.relations, 1)}
        terms = list(dict.fromkeys([*(term for _, term, _ in singles), *(t for p in pairs for t in p[1:])]))
        index = {term: k for k, term in enumerate(terms)}
        self.single = np.zeros(len(terms), np.uint8)
        self.clause_only = np.zeros(len(terms), bool)
        for relation, term, where in singles:
            self.single[index[term]] = number[relation]
            self.clause_only[index[term]] = where == "clause"
        self.pairs = np.zeros((len(terms), len(terms)), np.uint8)
        for relation, first, second in pairs:
            self.pairs[index[first], index[second]] = number[relation]
        self._terms = terms

    @cached_property
    def matcher(self) -> native.KeywordMatcher:
        """Finds the terms."""
        return native.KeywordMatcher(self._terms)

    def __call__(
        self,
        characters: Characters,
        word_starts: np.ndarray | None,
        clause_starts: np.ndarray,
        sentence_starts: np.ndarray,
    ) -> tuple[Spans, np.ndarray, np.ndarray]:
        """(connectives, firsts, seconds): spans with their relations, and which are members of pairs, bool (N,)."""
        edges = None if word_starts is None else np.append(word_starts, True)
        found = self.matcher.longest([characters.whole], edges).values
        starts, ends = found["begin"].astype(np.int64), found["end"].astype(np.int64)
        terms = found["word"]
        kinds = np.where(self.clause_only[terms] & ~clause_starts[starts], 0, self.single[terms])
        firsts, seconds = self._paired(terms, np.cumsum(sentence_starts)[starts], kinds)
        kept = kinds > 0
        return Spans(starts[kept], ends[kept], kinds[kept]), firsts[kept], seconds[kept]

    def _paired(
        self, terms: np.ndarray, sentences: np.ndarray, kinds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which terms open and close pairs, bool (N,) each; kinds of those are set to the pair's relation."""
        firsts, seconds = np.zeros(len(terms), bool), np.zeros(len(terms), bool)
        for lag in range(1, min(REACH + 1, len(terms))):
            relation = self.pairs[terms[:-lag], terms[lag:]]
            possible = (relation > 0) & (sentences[:-lag] == sentences[lag:])
            # One after the other: what a pair has taken, the next may not take.
            for first in np.flatnonzero(possible).tolist():
                second = first + lag
                if not (firsts[first] or seconds[first] or firsts[second] or seconds[second]):
                    firsts[first] = seconds[second] = True
                    kinds[first] = kinds[second] = relation[first]
        return firsts, seconds


@cache
def table() -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Singles (relation, term, where) and pairs (relation, first, second) of connectives.tsv."""
    content = files(__package__).joinpath("connectives.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in content.splitlines() if line and not line.startswith("#")]
    singles = [(relation, term, where) for relation, term, _, where in rows if where != "pair"]
    pairs = [(relation, term, second) for relation, term, second, where in rows if where == "pair"]
    return singles, pairs
