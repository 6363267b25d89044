"""MacBERT's replacement of masked words (Cui et al. 2020): a similar word, so that no [MASK] is seen in pretraining.

80 % of the words become a similar word of the same number of tokens (a random one where the table has none), 10 % a
random word of that many tokens, 10 % stay.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np

from taixue.base import UserError, rng
from taixue.data_tools.tokenizer.base import Tokenizer


class SimilarWords:
    """A table of terms and similar terms, as ids of a tokenizer. ordinary: ids that random words are made of when the
    table has no word of a length."""

    def __init__(self, path: str, tokenizer: Tokenizer, ordinary: np.ndarray) -> None:
        self._ordinary = ordinary
        pairs = _read(path)
        terms = list(dict.fromkeys(term for pair in pairs for term in pair))
        ids = {term: row.astype(np.int32) for term, row in zip(terms, tokenizer.encode(terms), strict=True)}
        words: dict[int, dict[bytes, np.ndarray]] = defaultdict(dict)
        self._similar: dict[bytes, list[np.ndarray]] = defaultdict(list)
        for term, other in pairs:
            words[len(ids[term])][ids[term].tobytes()] = ids[term]
            if term != other and len(ids[term]) == len(ids[other]):
                self._similar[ids[term].tobytes()].append(ids[other])
        self._words = {length: list(found.values()) for length, found in words.items()}

    def __call__(self, tokens: np.ndarray, marks: np.ndarray, stream_keys: np.ndarray) -> np.ndarray:
        """int32 (B, N): the tokens with those of marked units replaced. stream_keys uint64 (B,)."""
        replaced = tokens.astype(np.int32)
        first = (marks >> 3) - 1
        rows, places = np.nonzero((marks > 0) & (first == np.arange(marks.shape[1])))
        numbers = rng.draw_at(stream_keys[rows], places)
        lengths = (marks[rows] == marks[rows, places, None]).sum(axis=1)
        ends = places + lengths
        units = zip(rows.tolist(), places.tolist(), ends.tolist(), numbers.tolist(), strict=True)
        for row, begin, end, number in units:
            replaced[row, begin:end] = self._instead(tokens[row, begin:end].astype(np.int32), number)
        return replaced

    def _instead(self, word: np.ndarray, number: int) -> np.ndarray:
        action, choice = (number & 0xFFFFFFFF) * 10 >> 32, number >> 32
        if action == 9:
            return word
        candidates = self._similar.get(word.tobytes(), []) if action < 8 else []
        candidates = candidates or self._words.get(len(word), [])
        if candidates:
            return candidates[choice * len(candidates) >> 32]
        spread = rng.draw_at(np.array(number, np.uint64), np.arange(len(word)))
        return self._ordinary[rng.below(spread, len(self._ordinary))]


def _read(path: str) -> list[tuple[str, str]]:
    """(term, similar term) of lines term<TAB>similar terms; these are separated by white space."""
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"objective.similar_words: {path}: cannot be read: {error}") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        term, tab, others = line.partition("\t")
        if not (term.strip() and tab and others.split()):
            raise UserError(
                f"objective.similar_words: {path}:{number}: expected term<TAB>similar terms, got {line!r}"
            )
        pairs += [(term.strip(), other) for other in others.split()]
    if not pairs:
        raise UserError(f"objective.similar_words: {path}: holds no term")
    return pairs
