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
        self._words: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, texts: Sequence[str]) -> list[np.ndarray]:
        """One int32 (N,) array per text, without special tokens."""
        ids, lengths, _ = self.joined(texts, 0)
        return [row[:-1] for row in np.split(ids, np.cumsum(lengths)[:-1])] if texts else []

    def joined(self, texts: Sequence[str], end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids of all texts, `end` behind each, int32 (N,); how many each has with it, int64 (texts,); and the character
        of its text that each starts at, int32 (N,), for `end` the number of its characters."""
        whole = "".join(part for text in texts for part in (text, "\n"))
        ids = self._look_up(whole)
        sizes = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
        text_ends = np.cumsum(sizes)
        ids[text_ends - 1] = end
        is_word = ids == _WORD
        edges = np.flatnonzero(np.diff(is_word, prepend=False, append=False))
        begins, ends = edges[::2], edges[1::2]
        words = [
            self._word(whole[begin:stop]) for begin, stop in zip(begins.tolist(), ends.tolist(), strict=True)
        ]

        # How many ids each character adds: its own, those of the word that it begins, or none.
        single = np.flatnonzero(ids >= 0)
        counts = (ids >= 0).astype(np.int64)
        counts[begins] = lengths = np.fromiter((len(own) for own, _ in words), np.int64, len(words))
        after = np.cumsum(counts)
        out = np.empty((2, int(after[-1]) if len(after) else 0), np.int32)
        out[:, after[single] - 1] = ids[single], single
        if words:
            first = np.cumsum(lengths) - lengths
            place = np.repeat(after[begins] - lengths - first, lengths) + np.arange(int(lengths.sum()))
            out[0, place] = np.concatenate([own for own, _ in words])
            out[1, place] = np.concatenate([starts for _, starts in words]) + np.repeat(begins, lengths)
        per_text = np.diff(after[text_ends - 1], prepend=0)
        out[1] -= np.repeat(text_ends - sizes, per_text)
        return out[0], per_text, out[1]

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
            ids, _ = self._word(character)
            return int(ids[0]) if len(ids) == 1 else _WORD
        return _WORD

    def _word(self, word: str) -> tuple[np.ndarray, np.ndarray]:
        """Ids and starts."""
        found = self._words.get(word)
        if found is None:
            encoding = self._hub.encode(word, add_special_tokens=False)
            starts = [begin for begin, _ in encoding.offsets]
            found = np.array(encoding.ids, np.int32), np.array(starts, np.int32)
            if len(self._words) >= _REMEMBERED:
                self._words.clear()
            self._words[word] = found
        return found
