"""From characters to tokens: one sidecar row per token."""

import numpy as np

from ..shards import sidecar
from .layered_text import IS_BLANK, Characters, Layers, Spans

_FAR = np.iinfo(np.int16).max


class Tokens:
    """The tokens of a batch over its characters.

    first, last int64 (T,), ascending: first and last character of each token that is no white space; for a token of
    white space alone, first > last. continues bool (T,): it and the one before it are bytes of one such character.
    """

    def __init__(self, characters: Characters, counts: np.ndarray, starts: np.ndarray) -> None:
        """counts int64 (texts,): tokens of each; starts (T,): the first character of each in its text."""
        begins = starts.astype(np.int64) + np.repeat(characters.begins, counts)
        ends = np.append(begins[1:], 0)
        filled = counts > 0
        ends[np.cumsum(counts)[filled] - 1] = characters.ends[filled]
        size = len(characters)
        points = characters.points
        is_space = IS_BLANK[points]
        places = np.arange(size)
        after = np.minimum.accumulate(np.where(is_space, size, places)[::-1])[::-1]
        before = np.maximum.accumulate(np.where(is_space, -1, places))
        # Bytes of one character share its place: such a token has the character that starts there.
        ends = np.maximum(ends, begins + 1)
        self.after = np.append(after, size)  # the first place at or after each that is no white space
        self.first = self.after[np.minimum(begins, size)]
        self.last = before[np.minimum(ends, size) - 1] if size else ends
        self.is_blank = self.first > self.last
        # Bytes of one blank character: they are a unit together.
        self.continues = np.zeros(len(begins), bool)
        self.continues[1:] = self.is_blank[1:] & self.is_blank[:-1] & (begins[1:] == begins[:-1])
        # Places that are safe to look up; what is found there for blanks is not used.
        self.low = np.where(self.is_blank, 0, self.first)
        self.high = np.where(self.is_blank, 0, self.last)

    def __len__(self) -> int:
        return len(self.first)

    def within(self, begins: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the tokens of all ranges [begins, ends) that are not blank, and the range each is of."""
        counts = np.maximum(ends - begins, 0)
        owner = np.repeat(np.arange(len(counts)), counts)
        numbers = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts - begins, counts)
        visible = ~self.is_blank[numbers]
        return numbers[visible], owner[visible]


def rows(characters: Characters, tokens: Tokens, layers: Layers, dtype: np.dtype) -> np.ndarray:
    """Sidecar rows (T,) of all tokens of the batch."""
    out = np.zeros(len(tokens), dtype)
    if not len(tokens):
        return out
    flags = np.zeros(len(tokens), np.uint8)
    if layers.word_starts is not None and layers.pos is not None:
        # A token of several words, or of none, has a number that no other token has.
        word = np.cumsum(layers.word_starts, dtype=np.int32)
        mine = word[tokens.low]
        straddles = (mine != word[tokens.high]) & ~tokens.is_blank
        alone = straddles | tokens.is_blank
        own = np.maximum.accumulate(np.where(tokens.continues, 0, np.arange(len(tokens))))
        mine[alone] = -1 - own[alone]
        unit = _changes(mine)
        out["pos"] = np.where(alone, 0, layers.pos[tokens.low])
        flags[unit] = sidecar.UNIT
        flags[straddles] |= sidecar.STRADDLES
    else:
        flags[:] = sidecar.UNIT
    for starts, bit in ((layers.clause_starts, sidecar.CLAUSE), (layers.sentence_starts, sidecar.SENTENCE)):
        if starts is not None:
            places = tokens.after[np.flatnonzero(starts)]
            held, _ = tokens.within(
                np.searchsorted(tokens.last, places), np.searchsorted(tokens.first, places, "right")
            )
            flags[held] |= bit
    held, begins, span = _held(layers.entities, tokens)
    out["entity"][held] = layers.entities.kinds[span]
    flags[begins] |= sidecar.ENTITY
    held, begins, span = _held(layers.connectives, tokens)
    out["connective"][held] = layers.connectives.kinds[span]
    flags[begins] |= sidecar.CONNECTIVE
    begun = span[_changes(span)]
    flags[begins] |= layers.firsts[begun] * np.uint8(sidecar.PAIR_FIRST)
    flags[begins] |= layers.seconds[begun] * np.uint8(sidecar.PAIR_SECOND)
    out["flags"] = flags
    _external(out, tokens, layers)
    return out


def exactly_covered(spans: Spans, tokens: Tokens, size: int) -> int:
    """How many spans begin where a token begins and end where one ends."""
    firsts, lasts = np.zeros(size + 1, bool), np.zeros(size + 1, bool)
    firsts[tokens.low[~tokens.is_blank]] = True
    lasts[tokens.high[~tokens.is_blank]] = True
    return int((firsts[spans.starts] & lasts[spans.ends - 1]).sum())


def _held(spans: Spans, tokens: Tokens) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(tokens that lie inside a span, those of them that are its first, number of the span of each of the former)."""
    begins = np.searchsorted(tokens.first, spans.starts)
    held, span = tokens.within(begins, np.searchsorted(tokens.last, spans.ends - 1, "right"))
    return held, held[_changes(span)], span


def _changes(values: np.ndarray) -> np.ndarray:
    """Where a value differs from the one before it, bool; true at the first."""
    out = np.ones(len(values), bool)
    out[1:] = values[1:] != values[:-1]
    return out


def _external(out: np.ndarray, tokens: Tokens, layers: Layers) -> None:
    names = out.dtype.names or ()
    usable = ~tokens.is_blank & ((out["flags"] & sidecar.STRADDLES) == 0)
    if "head" in names and layers.heads is not None and layers.arcs is not None:
        # The token that holds a character: the last one that starts at it or before.
        firsts = np.maximum.accumulate(np.where(tokens.is_blank, -1, tokens.first))
        target = layers.heads[tokens.low]
        away = np.searchsorted(firsts, target, "right") - 1
        # Several tokens may share a place; the first of them stands for the word.
        away = np.searchsorted(firsts, firsts[np.maximum(away, 0)], "left") - np.arange(len(tokens))
        near = usable & (target >= 0) & (np.abs(away) <= _FAR)
        out["head"] = np.where(near, away, 0)
        out["arc"] = np.where(usable, layers.arcs[tokens.low], 0)
    if "role1" in names and layers.roles is not None:
        for k in range(3):
            out[f"role{k + 1}"] = np.where(usable, layers.roles[k][tokens.low], 0)
