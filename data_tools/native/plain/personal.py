"""Twin of personal.cc: personal data by its form, tried from left to right, the kinds in the order of PERSONAL."""

import re
from collections.abc import Sequence
from functools import cache

import numpy as np

from .rules import PERSONAL

_PRINTABLE = set(map(chr, range(0x21, 0x7F)))
_URL = re.escape("".join(sorted(_PRINTABLE - set('"<>\\^`{|}'))))
_URL_END = re.escape(
    "".join(sorted(_PRINTABLE - set("\"<>\\^`{|}.,;:!?()'[]*_")))
)  # no punctuation of the sentence
LOCAL = r"A-Za-z0-9._%+\-"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PATTERNS = {
    "url": rf"(?<![A-Za-z0-9])(?i:https?://|ftp://|www\.)[{_URL}]*[{_URL_END}]",
    "email": rf"(?<![{LOCAL}])[{LOCAL}]{{1,64}}+@[A-Za-z0-9\-]{{1,63}}(?:\.[A-Za-z0-9\-]{{1,63}})*"
    r"\.[A-Za-z]{2,24}(?![A-Za-z0-9\-])",
    # Region, date of birth, number, check digit.
    "id": r"(?<![0-9])[1-9][0-9]{5}(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]"
    r"(?![0-9A-Za-z])",
    "card": r"(?<![0-9])(?:62[0-9]{14,17}|[45][0-9]{15})(?![0-9])",
    "mobile": r"(?<![0-9])(?:\+?86[\- ]?)?1[3-9][0-9](?P<sep>[\- ]?)[0-9]{4}(?P=sep)[0-9]{4}(?![0-9])",
    "landline": r"(?<![0-9])(?:0[0-9]{2,3}[\- ]|\(0[0-9]{2,3}\)[\- ]?|（0[0-9]{2,3}）[\- ]?)[1-9][0-9]{6,7}"
    r"(?:-[0-9]{1,5})?(?![0-9])",
    "ip": rf"(?<![0-9.]){_OCTET}(?:\.{_OCTET}){{3}}(?![0-9]|\.[0-9])",
}


def mask_personal(texts: list[str], kinds: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Texts and int64 (N, kinds) counts, columns in the order of PERSONAL."""
    names = list(PERSONAL)
    counts = np.zeros((len(texts), len(names)), np.int64)
    pattern = _pattern(tuple(kind for kind in names if kind in kinds))
    out = []
    for text, row in zip(texts, counts, strict=True):

        def replaced(match: re.Match[str], row: np.ndarray = row) -> str:
            kind = next(name for name in names if name in kinds and match[name] is not None)
            if kind == "card" and not _luhn(match[0]):
                return match[0]
            row[names.index(kind)] += 1
            return PERSONAL[kind]

        out.append(pattern.sub(replaced, text) if kinds else text)
    return out, counts


@cache
def _pattern(kinds: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{kind}>{_PATTERNS[kind]})" for kind in kinds), re.ASCII)


def _luhn(digits: str) -> bool:
    """The check sum of bank cards: every second digit from the right counts twice, digit by digit."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0
