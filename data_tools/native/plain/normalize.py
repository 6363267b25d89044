"""Twin of normalize.cc."""

import re
import unicodedata
from functools import cache

from .characters import FULLWIDTH_OF, FULLWIDTH_PUNCTUATION, is_newline, is_removed
from .html import without_html
from .rules import NormalizeRules

_SPACES = re.compile(r"\s+")


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


def _one_space(match: re.Match[str]) -> str:
    run = match[0].replace("\r\n", "\n")
    return "\n" * min(sum(map(is_newline, run)), 2) or " "


_is_removed = cache(is_removed)
