"""Twin of unigram.cc: SentencePiece's unigram segmentation, step by step as version 0.2.3 does it.

Sums are float32 and ties go to the path found first, as there, because ids must be equal.
"""

from collections.abc import Iterator

import numpy as np

from .rules import Ragged, UnigramModel

_NORMAL, _UNKNOWN, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 4, 5, 6
_UNKNOWN_PENALTY = np.float32(10.0)
_RESET = 100_000.0
_SPACE = "\u2581"


class Unigram:
    """Encodes text with a unigram model."""

    def __init__(self, model: UnigramModel) -> None:
        self._model = model
        types = model.types.tolist()
        normal = model.scores[model.types == _NORMAL]
        self._unknown_score = np.float32(min(normal, default=np.finfo(np.float32).max)) - _UNKNOWN_PENALTY
        self._unknown = types.index(_UNKNOWN) if _UNKNOWN in types else -1
        self._scores: dict[str, tuple[int, np.float32]] = {}
        for number, (piece, kind) in enumerate(zip(model.pieces, types, strict=True)):
            if kind == _NORMAL:
                self._scores[piece.decode()] = number, model.scores[number]
            elif kind == _USER_DEFINED:
                self._scores[piece.decode()] = number, np.float32(0.1 * (len(piece) - 1))
        self._longest = max(map(len, self._scores), default=0)
        self._bytes = {int(model.pieces[k][3:5], 16): k for k, kind in enumerate(types) if kind == _BYTE}
        self._symbols = sorted(
            (piece for piece, kind in zip(model.pieces, types, strict=True) if kind == _USER_DEFINED),
            key=len,
            reverse=True,
        )
        self._charsmap = _Charsmap(model.charsmap)

    def encode(self, texts: list[str], append: int, dtype: np.dtype) -> Ragged:
        """Ids, `append` behind each text when it is not negative."""
        rows = self.encode_with_starts(texts, append)[0]
        return Ragged(rows.values.astype(dtype), rows.offsets)

    def encode_with_starts(self, texts: list[str], append: int) -> tuple[Ragged, np.ndarray]:
        """Ids int32, `append` behind each text when it is not negative; the first character of each, int32 (N,)."""
        rows = [self._encode(text) + [(append, len(text))] * (append >= 0) for text in texts]
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        both = np.array([pair for row in rows for pair in row], np.int32).reshape(-1, 2)
        return Ragged(both[:, 0].copy(), offsets), both[:, 1].copy()

    def _encode(self, text: str) -> list[tuple[int, int]]:
        normalized, origins = self._normalize(text.encode())
        return self._ids(*self._best_path(normalized), origins)

    def _normalize(self, text: bytes) -> tuple[str, list[int]]:
        """The text that is cut, and the character of the original that each of its characters comes from."""
        model = self._model
        steps = list(self._steps(text))
        if model.remove_extra_whitespaces:
            while steps and steps[0][0] == " ":
                steps.pop(0)
        if not steps:
            return "", []
        space = _SPACE if model.escape_whitespaces else " "
        out = space if model.add_dummy_prefix and not model.whitespace_as_suffix else ""
        origins = [-1] * len(out)
        after_space = model.remove_extra_whitespaces
        for step, origin in steps:
            step = step.lstrip(" ") if after_space else step
            out += step.replace(" ", space)
            origins += [origin] * len(step)
            if step:
                after_space = step.endswith(" ")
            after_space &= model.remove_extra_whitespaces
        if model.remove_extra_whitespaces:
            while out.endswith(space):
                out = out.removesuffix(space)
        origins.append(len(text.decode()))
        if model.add_dummy_prefix and model.whitespace_as_suffix:
            out += space
        return out, origins[: len(out)]

    def _steps(self, text: bytes) -> Iterator[tuple[str, int]]:
        """What each character, user-defined symbol or rule of the charsmap turns into, and the character it is at."""
        at = character = 0
        while at < len(text):
            symbol = next((symbol for symbol in self._symbols if text.startswith(symbol, at)), None)
            if symbol:
                yield symbol.decode(), character
                at += len(symbol)
                character += len(symbol.decode())
                continue
            length, replacement = self._charsmap.longest(text, at)
            if not length:
                length = 1 + (text[at] >= 0xC0) + (text[at] >= 0xE0) + (text[at] >= 0xF0)
                replacement = text[at : at + length]
            yield replacement.decode(), character
            character += len(text[at : at + length].decode())
            at += length

    def _best_path(self, text: str) -> tuple[str, list[tuple[int, int]]]:
        """(text, [(begin, id) of the best path that ends at a place])."""
        score = [np.float32(0)] * (len(text) + 1)
        best = [(-1, -1)] * (len(text) + 1)
        for begin in range(len(text)):
            if abs(score[begin]) > _RESET:
                offset = score[begin]
                for place in range(begin, len(text) + 1):
                    if place == begin or best[place][0] != -1:
                        score[place] = score[place] - offset
            single = False
            for end in range(begin + 1, min(begin + self._longest, len(text)) + 1):
                if piece := self._scores.get(text[begin:end]):
                    self._relax(score, best, begin, end, *piece)
                    single |= end == begin + 1
            if not single:
                self._relax(score, best, begin, begin + 1, self._unknown, self._unknown_score)
        return text, best

    @staticmethod
    def _relax(
        score: list[np.float32],
        best: list[tuple[int, int]],
        begin: int,
        end: int,
        number: int,
        gain: np.float32,
    ) -> None:
        candidate = gain + score[begin]
        if best[end][0] == -1 or candidate > score[end]:
            score[end], best[end] = candidate, (begin, number)

    def _ids(self, text: str, best: list[tuple[int, int]], origins: list[int]) -> list[tuple[int, int]]:
        """(id, first character) of each piece."""
        out: list[tuple[int, int]] = []
        end = len(text)
        while end > 0:
            begin, number = best[end]
            if number == self._unknown and self._model.byte_fallback:
                out += [(self._bytes[byte], origins[begin]) for byte in reversed(text[begin:end].encode())]
            else:
                if number == self._unknown and out and out[-1][0] == number:
                    out.pop()  # a run of unknown characters is one token
                out.append((number, origins[begin]))
            end = begin
        return out[::-1]


class _Charsmap:
    """precompiled_charsmap: size of a double array (4 bytes), the double array (Darts), replacements (C strings)."""

    def __init__(self, blob: bytes) -> None:
        size = int.from_bytes(blob[:4], "little") if blob else 0
        self._units = np.frombuffer(blob[4 : 4 + size], "<u4").tolist()
        self._replacements = blob[4 + size :]

    def longest(self, text: bytes, at: int) -> tuple[int, bytes]:
        """(bytes of text, replacement) of the longest rule, (0, b"") when none fits."""
        if not self._units:
            return 0, b""
        found = 0, b""
        node = _offset(self._units[0])
        for place in range(at, len(text)):
            node ^= text[place]
            unit = self._units[node]
            if unit & 0x800000FF != text[place]:
                break
            node ^= _offset(unit)
            if unit >> 8 & 1:
                begin = self._units[node] & 0x7FFFFFFF
                found = place + 1 - at, self._replacements[begin : self._replacements.index(b"\0", begin)]
        return found


def _offset(unit: int) -> int:
    return unit >> 10 << ((unit & 0x200) >> 6)
