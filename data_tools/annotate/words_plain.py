"""Twin of native/words.cc: jieba's word segmentation, step by step.

Blocks of hanzi, Latin letters, digits and +#&._%- are cut along the most probable path through the words of the
dictionary; runs of single characters on it are cut again, hanzi by a hidden Markov model over the states begin, middle,
end, single (Viterbi), letters and digits by their form. Everything else is one word per character. Of paths that are
equally probable the one with the longer first word is taken. (https://github.com/fxsjy/jieba; differs from it in what
belongs to a block and in keeping ABC-123 together, as the Rust version does.)
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np

_HANZI = "\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\U00020000-\U0002fa1f"
_BLOCKS = re.compile(rf"([{_HANZI}a-zA-Z0-9+#&._%-]+)|\r\n|.", re.DOTALL)
_UNKNOWN = re.compile(
    r"[\u4e00-\u9fd5]+|[a-zA-Z0-9]+(?:[^\u4e00-\u9fd5][0-9]+)?%?|[^\u4e00-\u9fd5a-zA-Z0-9]+", re.DOTALL
)
_ALL_HANZI = re.compile(f"[{_HANZI}]+")
_ALNUM = re.compile(r"[a-zA-Z0-9]")
_BEGIN, _MIDDLE, _END, _SINGLE = range(4)
_FROM = ((_END, _SINGLE), (_MIDDLE, _BEGIN), (_BEGIN, _MIDDLE), (_SINGLE, _END))
_NEVER = (-3.14e100,) * 4


class WordCutter:
    """See native/words.h for the arguments."""

    def __init__(
        self,
        words: Sequence[str],
        scores: Sequence[float],
        tags: Sequence[int],
        single: float,
        characters: Sequence[str],
        emissions: Sequence[tuple[float, ...]],
        start: Sequence[float],
        transitions: Sequence[Sequence[float]],
        surnames: str,
        unknown_tags: Sequence[int],
    ) -> None:
        self._scores = dict(zip(words, scores, strict=True))
        self._tags = dict(zip(words, tags, strict=True))
        self._beginnings = {word[:size] for word in words for size in range(1, len(word) + 1)}
        self._single = single
        self._emissions = dict(zip(characters, emissions, strict=True))
        self._start, self._transitions = start, transitions
        self._surnames = frozenset(surnames)
        self._number, self._latin, self._person, self._noun, self._other = unknown_tags

    def run(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (C,) word starts, uint8 (C,) tags of code points (C,)."""
        text = points.astype("<u4").tobytes().decode("utf-32-le")
        starts, tags = np.zeros(len(text), np.uint8), np.zeros(len(text), np.uint8)
        place = 0
        for match in _BLOCKS.finditer(text):
            for word in self._block(match[0]) if match[1] else [match[0]]:
                starts[place] = 1
                tags[place : place + len(word)] = self._tag(word)
                place += len(word)
        return starts, tags

    def _tag(self, word: str) -> int:
        if word in self._tags:
            return self._tags[word]
        letters = _ALNUM.findall(word)
        if letters:
            return self._number if all(map(str.isdigit, letters)) else self._latin
        if not _ALL_HANZI.fullmatch(word):
            return self._other
        return self._person if len(word) in (2, 3) and word[0] in self._surnames else self._noun

    def _block(self, text: str) -> Iterator[str]:
        best = [(0.0, 0)] * (len(text) + 1)
        for at in range(len(text) - 1, -1, -1):
            paths = []
            for end in range(at + 1, len(text) + 1):
                word = text[at:end]
                if word not in self._beginnings:
                    break
                if word in self._scores:
                    paths.append((self._scores[word] + best[end][0], end))
            best[at] = max(paths, default=(self._single + best[at + 1][0], at + 1))
        pending, at = 0, 0
        while at < len(text):
            end = best[at][1]
            if end - at > 1:
                yield from self._unknown(text[pending:at])
                yield text[at:end]
                pending = end
            at = end
        yield from self._unknown(text[pending:])

    def _unknown(self, text: str) -> Iterator[str]:
        if text in self._scores:
            yield from text
            return
        for match in _UNKNOWN.finditer(text):
            if "\u4e00" <= match[0][0] <= "\u9fd5":
                yield from self._modelled(match[0])
            else:
                yield match[0]

    def _modelled(self, text: str) -> Iterator[str]:
        if len(text) == 1:
            yield text
            return
        emitted = [self._emissions.get(character, _NEVER) for character in text]
        now = [self._start[state] + emitted[0][state] for state in range(4)]
        back = []
        for emission in emitted[1:]:
            origin = []
            following = []
            for state, (first, second) in enumerate(_FROM):
                one = now[first] + self._transitions[first][state] + emission[state]
                other = now[second] + self._transitions[second][state] + emission[state]
                origin.append(second if other > one else first)
                following.append(max(one, other))
            back.append(origin)
            now = following
        states = [_SINGLE if now[_SINGLE] > now[_END] else _END]
        for origin in reversed(back):
            states.append(origin[states[-1]])
        begins = [k for k, state in enumerate(reversed(states)) if state in (_BEGIN, _SINGLE)]
        begins = [0, *(k for k in begins if k)]
        for begin, end in zip(begins, [*begins[1:], len(text)], strict=True):
            yield text[begin:end]
