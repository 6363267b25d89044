"""BERT ids of mostly Chinese text at the speed of table look-ups; ids equal the tokenizers library's.

BERT's pipeline puts white space around every Chinese character and cuts at every punctuation mark, so such a
character is a token whatever stands beside it. A table over code points says, for each character met so far,
that it is such a token (and its id), white space, or part of a word. Words, few in Chinese text, go through
the library once each and are remembered.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

_UNSEEN, _WORD, _SPACE = -3, -2, -1
_REMEMBERED = 1_000_000


class CharacterEncoder:
    """Encodes with a BERT pipeline of the tokenizers library."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._table = np.full(0x110000, _UNSEEN, np.int32)
        self._words: dict[str, np.ndarray] = {}
        self._starts: dict[str, np.ndarray] = {}

    def __call__(self, texts: Sequence[str]) -> list[np.ndarray]:
        """One int32 (N,) array per text, without special tokens."""
        whole = "\n".join(texts)
        ids = self._look_up(whole)
        is_word = ids == _WORD
        starts = np.flatnonzero(np.diff(is_word, prepend=False) & is_word)
        ends = np.flatnonzero(np.diff(is_word, append=False) & is_word) + 1
        words = [
            self._word(whole[begin:end]) for begin, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]

        # How many ids each character adds: its own, those of the word that it begins, or none.
        counts = (ids >= 0).astype(np.int64)
        lengths = np.fromiter(map(len, words), np.int64, len(words))
        counts[starts] = lengths
        after = np.cumsum(counts)
        out = np.empty(int(after[-1]) if len(after) else 0, np.int32)
        single = ids >= 0
        out[after[single] - 1] = ids[single]
        if words:
            first = np.cumsum(lengths) - lengths
            place = np.repeat(after[starts] - lengths - first, lengths) + np.arange(int(lengths.sum()))
            out[place] = np.concatenate(words)
        text_ends = np.cumsum(np.fromiter((len(text) + 1 for text in texts), np.int64, len(texts)))
        edges = np.concatenate([[0], after])[np.minimum(text_ends, len(after))]
        return np.split(out, edges[:-1]) if texts else []

    def starts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """One int64 (N,) array per text: the first character of each of the ids that calling gives."""
        out = []
        for text in texts:
            ids = self._look_up(text)
            is_word = ids == _WORD
            begins = np.flatnonzero(np.diff(is_word, prepend=False) & is_word).tolist()
            ends = (np.flatnonzero(np.diff(is_word, append=False) & is_word) + 1).tolist()
            inside = [self._word_starts(text[begin:end]) for begin, end in zip(begins, ends, strict=True)]
            moved = [begin + starts for begin, starts in zip(begins, inside, strict=True)]
            out.append(np.sort(np.concatenate([np.flatnonzero(ids >= 0), *moved]), kind="stable"))
        return out

    def _word_starts(self, word: str) -> np.ndarray:
        starts = self._starts.get(word)
        if starts is None:
            encoding = self._hub.encode(word, add_special_tokens=False)
            starts = np.array([begin for begin, _ in encoding.offsets], np.int64)
            if len(self._starts) >= _REMEMBERED:
                self._starts.clear()
            self._starts[word] = starts
        return starts

    def _look_up(self, text: str) -> np.ndarray:
        """int32 (characters,): id, _WORD or _SPACE of each."""
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        ids = self._table[points]
        unseen = np.unique(points[ids == _UNSEEN])
        for point in unseen.tolist():
            self._table[point] = self._classify(chr(point))
        return self._table[points] if len(unseen) else ids

    def _classify(self, character: str) -> int:
        normalized = self._hub.normalizer.normalize_str(f"a{character}a")
        words = [word for word, _ in self._hub.pre_tokenizer.pre_tokenize_str(normalized)]
        if words == ["a", "a"]:
            return _SPACE
        if len(words) == 3 and words[0] == words[2] == "a":
            ids = self._word(character)
            return int(ids[0]) if len(ids) == 1 else _WORD
        return _WORD

    def _word(self, word: str) -> np.ndarray:
        ids = self._words.get(word)
        if ids is None:
            ids = np.array(self._hub.encode(word, add_special_tokens=False).ids, np.int32)
            if len(self._words) >= _REMEMBERED:
                self._words.clear()
            self._words[word] = ids
        return ids
