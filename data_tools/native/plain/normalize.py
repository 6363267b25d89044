"""Twin of normalize.cc and html.cc."""

import re
import unicodedata
from functools import cache
from html.entities import html5

from .characters import FULLWIDTH_OF, FULLWIDTH_PUNCTUATION, is_newline, is_removed
from .rules import BLOCKS, INLINE, NormalizeRules

_SPACES = re.compile(r"\s+")
_REMNANT = re.compile(
    r"<!--(?:(?!-->).)*+-->"
    r"|</?+([A-Za-z][A-Za-z0-9]{0,15}+)(?:[\t\n\r /][^<>]{0,1000}+)?+>"
    r"|&(?:#([0-9]{1,7}+)|#[xX]([0-9A-Fa-f]{1,6}+)|([A-Za-z][A-Za-z0-9]{0,31}+));",
    re.DOTALL | re.ASCII,
)


def normalize(text: str, rules: NormalizeRules) -> str:
    """See NormalizeRules."""
    if rules.html:
        text = without_html(text)
    if rules.nfkc:
        text = compatibility(text, rules)
    if rules.control:
        text = "".join(character for character in text if not _is_removed(character))
    if rules.whitespace:
        text = _SPACES.sub(_one_space, text.strip())
    return text


def kept(rules: NormalizeRules) -> str:
    """Characters that NFKC leaves alone."""
    return rules.keep + (FULLWIDTH_PUNCTUATION if rules.keep_fullwidth_punctuation else "")


def widened(rules: NormalizeRules) -> dict[int, int]:
    """Code points that become kept ones, and what they become."""
    found = FULLWIDTH_OF if rules.keep_fullwidth_punctuation else {}
    return {point: wide for point, wide in found.items() if chr(point) not in rules.keep}


def compatibility(text: str, rules: NormalizeRules) -> str:
    """NFKC of what is between the kept characters."""
    if not kept(rules):
        return unicodedata.normalize("NFKC", text)
    parts = re.split(f"([{re.escape(kept(rules))}])", text.translate(widened(rules)))
    parts[::2] = [unicodedata.normalize("NFKC", part) for part in parts[::2]]
    return "".join(parts)


def without_html(text: str) -> str:
    """Remnants of HTML resolved, from left to right, each place once."""
    return _REMNANT.sub(_resolved, text)


@cache
def entities() -> dict[str, str]:
    """Named entities, without & and ;."""
    return {name[:-1]: value for name, value in html5.items() if name.endswith(";")}


def numeric_entity(point: int) -> str:
    """As browsers read it: numbers of C1 controls mean Windows-1252, impossible ones U+FFFD."""
    if 0x80 <= point < 0xA0:
        return bytes([point]).decode("cp1252", "replace")
    if point == 0 or 0xD800 <= point < 0xE000 or point > 0x10FFFF:
        return "\ufffd"
    return chr(point)


def _resolved(match: re.Match[str]) -> str:
    element, decimal, hexadecimal, name = match.groups()
    if element:
        element = element.lower()
        return "\n" if element in BLOCKS else "" if element in INLINE else match[0]
    if decimal:
        return numeric_entity(int(decimal))
    if hexadecimal:
        return numeric_entity(int(hexadecimal, 16))
    if name:
        return entities().get(name, match[0])
    return ""


def _one_space(match: re.Match[str]) -> str:
    run = match[0].replace("\r\n", "\n")
    return "\n" * min(sum(map(is_newline, run)), 2) or " "


_is_removed = cache(is_removed)
