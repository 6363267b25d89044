"""What each character is, from the running Python's Unicode data: one table for the C++ code and its plain twins.

Built at first use (about 0.1 s). Unicode never changes what an assigned character decomposes to; characters that a
newer Python knows and an older one does not are class OTHER in the older.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache

import numpy as np

from .traditional import TRADITIONAL

POINTS = 0x110000
(OTHER, HANZI, LATIN, DIGIT, PUNCTUATION, SYMBOL, SPACE, KANA, HANGUL, LETTER, CONTROL, MARK) = range(12)
# Properties beside the class, in the upper bits of a table entry.
IS_TRADITIONAL, ENDS_SENTENCE, IS_BULLET, IS_WORD = 0x10, 0x20, 0x40, 0x80

END_PUNCTUATION = "。．.！!？?…；;”\"」』’'"
BULLETS = "•‣▶►➤➢●○■□▪▫◆◇★☆※·◦∙*-"
# Full-width punctuation that Chinese text is written with and that NFKC would make half-width.
FULLWIDTH_PUNCTUATION = "，！？：；（）［］｛｝～…"

_ASSIGNED = (range(0x40000), range(0xE0000, 0xE1000))
_LATIN = (range(0x250), range(0x1E00, 0x1F00), range(0xFF21, 0xFF5B))
_KANA = (range(0x3040, 0x3100), range(0x31F0, 0x3200), range(0xFF66, 0xFF9E), range(0x1B000, 0x1B170))
_HANGUL = (
    range(0x1100, 0x1200),
    range(0x3130, 0x3190),
    range(0xA960, 0xA980),
    range(0xAC00, 0xD7FC),
    range(0xFFA0, 0xFFDD),
)
_HANZI = (range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0xF900, 0xFB00), range(0x20000, 0x40000))
_BY_CATEGORY = {"P": PUNCTUATION, "S": SYMBOL, "N": SYMBOL, "M": MARK, "L": LETTER, "Z": SPACE}


@dataclass(frozen=True)
class Folding:
    """NFKC character by character.

    mapped: character -> its NFKC, where that differs. joining: characters that may combine with the one before
    them (marks, Hangul vowels and finals): a text that holds one needs the whole algorithm.
    """

    mapped: dict[str, str]
    joining: frozenset[str]


@cache
def classes() -> np.ndarray:
    """uint8 (0x110000,): class in the low four bits, properties above."""
    table = np.zeros(POINTS, np.uint8)
    for block in _ASSIGNED:
        table[block.start : block.stop] = _classes_of(block)
    # A mark belongs to the word it is written on.
    words = np.isin(table, [HANZI, LATIN, DIGIT, KANA, HANGUL, LETTER, MARK])
    table[words] |= IS_WORD
    for characters, flag in (
        (TRADITIONAL, IS_TRADITIONAL),
        (END_PUNCTUATION, ENDS_SENTENCE),
        (BULLETS, IS_BULLET),
    ):
        table[[ord(character) for character in characters]] |= flag
    table.setflags(write=False)
    return table


@cache
def folding() -> Folding:
    """The compatibility mappings of all characters."""
    mapped, joining = {}, set()
    seconds = _second_of_a_pair()
    for block in _ASSIGNED:
        for point in block:
            if 0x3400 <= point < 0xA000 or 0xAC00 <= point < 0xD7A4 or 0xD800 <= point < 0xE000:
                continue  # ideographs and syllables stand for themselves; surrogates are no characters
            character = chr(point)
            folded = unicodedata.normalize("NFKC", character)
            if folded != character:
                mapped[character] = folded
            first = unicodedata.normalize("NFKD", character)[:1]
            if unicodedata.combining(first) or first in seconds:
                joining.add(character)
    return Folding(mapped, frozenset(joining))


def is_newline(character: str) -> bool:
    """What str.splitlines splits at."""
    return character in "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


def is_removed(character: str) -> bool:
    """Control and format characters (zero width, direction marks, byte order mark) and noncharacters."""
    if ord(character) in noncharacters():
        return True
    return unicodedata.category(character) in ("Cc", "Cf") and not character.isspace()


@cache
def noncharacters() -> tuple[int, ...]:
    """Code points that Unicode promises never to use."""
    ends = [plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF)]
    return (*range(0xFDD0, 0xFDF0), *ends)


def _classes_of(block: range) -> np.ndarray:
    """Class of each character of a block; what comes later here goes before."""
    text = list(map(chr, block))
    category = np.frombuffer("".join(map(unicodedata.category, text)).encode(), "S2")
    initial = category.view("S1")[::2]
    points = np.arange(block.start, block.stop)
    out = np.zeros(len(block), np.uint8)
    for letter, kind in _BY_CATEGORY.items():
        out[initial == letter.encode()] = kind
    out[(category == b"Cc") | (category == b"Cf")] = CONTROL
    letters = out == LETTER
    for kind, parts in ((HANGUL, _HANGUL), (KANA, _KANA), (LATIN, _LATIN), (HANZI, _HANZI)):
        for part in parts:
            out[letters & (points >= part.start) & (points < part.stop)] = kind
    out[category == b"Nd"] = DIGIT
    out[np.isin(points, [ord("々"), ord("〇")])] = HANZI
    out[np.fromiter(map(str.isspace, text), bool, len(text))] = SPACE
    return out


def _second_of_a_pair() -> frozenset[str]:
    """Characters that canonical composition joins to the one before."""
    seconds = {chr(point) for point in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    for block in _ASSIGNED:
        for point in block:
            parts = unicodedata.decomposition(chr(point)).split()
            if len(parts) == 2 and not parts[0].startswith("<"):
                seconds.add(chr(int(parts[1], 16)))
    return frozenset(seconds)
