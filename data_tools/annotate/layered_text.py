"""A batch of texts as one array of characters, and layers over it.

The texts lie one after another, with a line end that belongs to no text before, between and after them; so all texts
are worked on at once, and the place before a text is white space. Every layer is an array over all characters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

# Whether tokenizers take a code point for white space or for nothing: the usual, control characters, marks of no width,
# U+2581, which is SentencePiece's space, and U+FFFD, which stands for bytes that were lost.
IS_BLANK = np.zeros(0x110000, bool)
IS_BLANK[
    [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x2010), 0x2028, 0x2029, 0x202F, 0x205F]
] = True
IS_BLANK[[0x2581, 0x3000, 0xFEFF, 0xFFFD]] = True
IS_BLANK[
    [*range(0x20), *range(0x7F, 0xA0), 0xAD, 0x61C, 0x180E, *range(0x202A, 0x202F), *range(0x2060, 0x2070)]
] = True
IS_BLANK[[*range(0xFFF9, 0xFFFC), 0xE0001, *range(0xE0020, 0xE0080)]] = True


class Characters:
    """Code points uint32 (C,) of texts; text i is characters [begins[i], ends[i])."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.whole = "\n".join(["", *texts, ""])
        self.points = np.frombuffer(self.whole.encode("utf-32-le"), "<u4")
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        self.begins = np.cumsum(lengths + 1) - lengths
        self.ends = self.begins + lengths

    def __len__(self) -> int:
        return len(self.points)


@dataclass
class Spans:
    """Stretches of characters [starts, ends) of some kinds, sorted, without overlap; all arrays (N,)."""

    starts: np.ndarray
    ends: np.ndarray
    kinds: np.ndarray

    @classmethod
    def none(cls) -> "Spans":
        """No span."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8))

    def take(self, chosen: np.ndarray) -> "Spans":
        """The chosen ones (a mask or numbers)."""
        return Spans(self.starts[chosen], self.ends[chosen], self.kinds[chosen])


@dataclass
class Layers:
    """What annotators found in a batch.

    word_starts bool (C,) and pos uint8 (C,), None without words; clause_starts and sentence_starts bool (C,);
    entities; connectives with firsts and seconds bool (N,) for members of pairs. Of external tools: heads int64 (C,),
    for each character the first character of its word's head (-1: none), arcs uint8 (C,), roles uint8 (3, C).
    """

    word_starts: np.ndarray | None = None
    pos: np.ndarray | None = None
    clause_starts: np.ndarray | None = None
    sentence_starts: np.ndarray | None = None
    entities: Spans = field(default_factory=Spans.none)
    connectives: Spans = field(default_factory=Spans.none)
    firsts: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    heads: np.ndarray | None = None
    arcs: np.ndarray | None = None
    roles: np.ndarray | None = None
