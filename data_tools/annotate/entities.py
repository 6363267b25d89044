"""Entities: terms of lexicons by longest match, and names by part of speech."""

import os
from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np

from taixue.base import UserError

from .. import native
from ..read.word_list import read_terms
from .config import Lexicon
from .layered_text import Characters, Spans
from .words import ORGANISATION, PERSON, PLACE, tag_numbers

NAME_TYPES = {"person": PERSON, "place": PLACE, "organisation": ORGANISATION}


class LexiconMatcher:
    """Finds the terms of lexicons; where lists share a term, the first list has it.

    types: names of the entity types, as numbered from 1; then the type of each term, uint8 (terms,).
    """

    def __init__(self, lexicons: Sequence[Lexicon], types: Sequence[str], on_words: bool) -> None:
        terms: dict[str, int] = {}
        for lexicon in lexicons:
            for term in read_terms(lexicon.path):
                if len(term) >= lexicon.least_length:
                    terms.setdefault(term, types.index(lexicon.type) + 1)
        if lexicons and not terms:
            raise UserError(f"annotate.lexicons: {lexicons[0].path}: no term of the least length")
        self.types = np.fromiter(terms.values(), np.uint8, len(terms))
        self._on_words = on_words
        self.terms = list(terms)

    @cached_property
    def matcher(self) -> native.KeywordMatcher | None:
        """Finds the terms; None without any."""
        return native.KeywordMatcher(self.terms) if self.terms else None

    def __call__(self, characters: Characters, word_starts: np.ndarray | None) -> Spans:
        """Entities of a batch; with on_words only those that start and end where words do."""
        if self.matcher is None:
            return Spans.none()
        edges = np.append(word_starts, True) if self._on_words and word_starts is not None else None
        found = self.matcher.longest([characters.whole], edges).values
        return Spans(
            found["begin"].astype(np.int64), found["end"].astype(np.int64), self.types[found["word"]]
        )


def open_lexicons(lexicons: Sequence[Lexicon], types: Sequence[str], on_words: bool) -> LexiconMatcher:
    """Of lexicons that stay as they are, read once per process."""
    dates = tuple(status.st_mtime_ns for status in map(_status, lexicons))
    return _opened(tuple(lexicons), dates, tuple(types), on_words)


@lru_cache(maxsize=1)
def _opened(
    lexicons: tuple[Lexicon, ...], dates: tuple[int, ...], types: tuple[str, ...], on_words: bool
) -> LexiconMatcher:
    return LexiconMatcher(lexicons, types, on_words)


def _status(lexicon: Lexicon) -> os.stat_result:
    try:
        return os.stat(lexicon.path)
    except OSError as error:
        raise UserError(f"word list {lexicon.path}: cannot be read: {error.strerror}") from None


def names(word_starts: np.ndarray, pos: np.ndarray, types: Sequence[str], taken: Spans) -> Spans:
    """Entities (taken, and the words that are names and overlap none of them), in order."""
    table = name_types(types)
    starts = np.flatnonzero(word_starts)
    ends = np.append(starts[1:], len(word_starts))
    kinds = table[pos[starts]]
    chosen = kinds > 0
    starts, ends, kinds = starts[chosen], ends[chosen], kinds[chosen]
    # Free: as many entities have begun before its end as have ended before its start.
    free = np.searchsorted(taken.starts, ends) == np.searchsorted(taken.ends, starts, "right")
    starts = np.concatenate([taken.starts, starts[free]])
    ends = np.concatenate([taken.ends, ends[free]])
    kinds = np.concatenate([taken.kinds, kinds[free]])
    return Spans(starts, ends, kinds).take(np.argsort(starts, kind="stable"))


def name_types(types: Sequence[str]) -> np.ndarray:
    """uint8 (256,): the entity type of a word by its tag; 0: no name."""
    table = np.zeros(256, np.uint8)
    for name, tags in NAME_TYPES.items():
        table[tag_numbers(tags)] = types.index(name) + 1
    return table
