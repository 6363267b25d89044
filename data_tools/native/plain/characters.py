"""What each character is, from the running Python's Unicode data: one table for the C++ code and its plain twins.

Built at first use (about 0.1 s of processor time). Unicode never changes what an assigned character decomposes to;
characters that a newer Python knows and an older one does not are class OTHER in the older.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Literal

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
# Its vertical and small forms, which NFKC would make half-width as well: they become the usual full-width ones.
FULLWIDTH_OF = str.maketrans(
    "︐︓︔︕︖︙︵︶︷︸﹇﹈﹐﹔﹕﹖﹗﹙﹚﹛﹜", "，：；！？…（）｛｝［］，；：？！（）｛｝"
)

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
_BY_CATEGORY = {
    **dict.fromkeys(("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"), PUNCTUATION),
    **dict.fromkeys(("Sm", "Sc", "Sk", "So", "Nl", "No"), SYMBOL),
    **dict.fromkeys(("Mn", "Mc", "Me"), MARK),
    **dict.fromkeys(("Lu", "Ll", "Lt", "Lm", "Lo"), LETTER),
    **dict.fromkeys(("Zs", "Zl", "Zp"), SPACE),
    **dict.fromkeys(("Cc", "Cf"), CONTROL),
    "Nd": DIGIT,
}
_AFTER_SPACES = 0x3001  # white space lies below


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
        categories = map(unicodedata.category, map(chr, block))
        table[block.start : block.stop] = [_BY_CATEGORY.get(category, OTHER) for category in categories]
    is_letter = table == LETTER
    for kind, blocks in ((HANZI, _HANZI), (LATIN, _LATIN), (KANA, _KANA), (HANGUL, _HANGUL)):
        for block in blocks:
            table[block.start : block.stop][is_letter[block.start : block.stop]] = kind
    table[[ord(character) for character in "々〇"]] = HANZI
    table[[point for point in range(_AFTER_SPACES) if chr(point).isspace()]] = SPACE
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
    characters = _foldable()
    folded, parts = (_each(form, characters) for form in ("NFKC", "NFKD"))
    mapped = {one: other for one, other in zip(characters, folded, strict=True) if one != other}
    seconds = _second_of_a_pair()
    firsts = {part[0] for part in parts}
    joins = {first for first in firsts if unicodedata.combining(first) or first in seconds}
    joining = {one for one, part in zip(characters, parts, strict=True) if part[0] in joins}
    return Folding(mapped, frozenset(joining))


@cache
def identity() -> dict[int, str]:
    """Code point -> what counts of it where texts are compared, of all that do not count as they are.

    Its compatibility decomposition (so that no character joins the one before it), a space for white space, nothing for
    what has no width.
    """
    characters = [*_foldable(), *map(chr, range(0xAC00, 0xD7A4))]
    forms = dict(zip(map(ord, characters), _each("NFKD", characters), strict=True))
    table = classes() & 15
    forms |= dict.fromkeys(np.flatnonzero(table == SPACE).tolist(), " ")
    forms |= dict.fromkeys([*np.flatnonzero(table == CONTROL).tolist(), *noncharacters()], "")
    return {point: form for point, form in forms.items() if form != chr(point) or form == " "}


def _each(form: Literal["NFKC", "NFKD"], characters: list[str]) -> list[str]:
    """The normal form of each character: nothing joins or moves across U+0000."""
    return unicodedata.normalize(form, "\0".join(characters)).split("\0")


@cache
def _foldable() -> list[str]:
    """All characters but U+0000, ideographs and syllables, which stand for themselves, and surrogates."""
    parts = (
        range(1, 0x3400),
        range(0xA000, 0xAC00),
        range(0xE000, 0x20000),
        range(0x2F800, 0x30000),
        range(0xE0000, 0xE1000),
    )
    return [chr(point) for part in parts for point in part]


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


def _second_of_a_pair() -> frozenset[str]:
    """Characters that canonical composition joins to the one before."""
    seconds = {chr(point) for point in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    for decomposition in map(unicodedata.decomposition, _foldable()):
        parts = decomposition.split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            seconds.add(chr(int(parts[1], 16)))
    return frozenset(seconds)
