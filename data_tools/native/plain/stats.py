"""Twin of stats.cc."""

from collections import Counter

import numpy as np

from . import characters as c
from .rules import STATS


def text_stats(texts: list[str], ngram: int) -> np.ndarray:
    """STATS (N,)."""
    return np.array([_row(text, ngram) for text in texts], STATS)


def _row(text: str, ngram: int) -> tuple[int | float, ...]:
    table = c.classes()
    entries = [int(table[ord(character)]) for character in text]
    kinds = Counter(entry & 15 for entry in entries)
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    seen: set[str] = set()
    again = [line for line in lines if line in seen or seen.add(line)]  # type: ignore[func-returns-value]
    line_characters = sum(map(len, lines))
    return (
        len(text.encode()),
        len(text),
        *(kinds[kind] for kind in (c.HANZI, c.LATIN, c.DIGIT, c.PUNCTUATION, c.SYMBOL, c.SPACE)),
        *(kinds[kind] for kind in (c.KANA, c.HANGUL, c.LETTER)),
        sum(bool(entry & c.IS_TRADITIONAL) for entry in entries),
        text.count("\ufffd"),
        len(lines),
        sum(line[-1] in c.END_PUNCTUATION for line in lines),
        sum(line[0] in c.BULLETS for line in lines),
        sum(line.endswith(("…", "...")) for line in lines),
        len(again),
        sum(map(len, again)),
        line_characters / len(lines) if lines else 0.0,
        len(again) / len(lines) if lines else 0.0,
        _repetition("".join(text.split()), ngram),
    )


def _repetition(text: str, ngram: int) -> float:
    count = len(text) - ngram + 1
    if not ngram or count < 1:
        return 0.0
    found = Counter(text[begin : begin + ngram] for begin in range(count))
    return sum(times for times in found.values() if times > 1) / count
