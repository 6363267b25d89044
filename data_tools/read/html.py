"""The text of an HTML page: scripts and styles dropped, a line end for each block, entities resolved.

All text of the page is kept, its menus too: telling an article from what surrounds it is left to filters, or to an
extractor whose output comes here as WET.
"""

import re

from .. import native
from ..native.plain.rules import BLOCKS, INLINE

KINDS = ("text/html", "application/xhtml+xml")
_HIDDEN = re.compile(r"<(script|style|template|svg|noscript)(?=[\s/>])", re.IGNORECASE)
_COMMENT = "<!--"
_TAG = re.compile(r"<[/!?]?([A-Za-z][^\s/<>]*)[^<>]*>")
_SPACES = re.compile(r"\s+")
_RULES = native.NormalizeRules(nfkc=False, control=False, whitespace=False, html=True)


def text_of(page: str) -> str:
    """The text, one line per block, without empty lines."""
    flat = _SPACES.sub(" ", _visible(page))
    known = _TAG.sub(lambda tag: tag[0] if tag[1].lower() in BLOCKS | INLINE else "", flat)
    (text,) = native.strings(native.normalize([known], _RULES))
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _visible(page: str) -> str:
    """Without comments and elements that are not shown; one that is not closed reaches to the end."""
    lower = page.lower() if page.isascii() else _ascii_lower(page)
    out: list[str] = []
    at = 0
    while True:
        hidden = _HIDDEN.search(lower, at)
        comment = lower.find(_COMMENT, at)
        begin = min(
            (place for place in (hidden.start() if hidden else -1, comment) if place >= 0), default=-1
        )
        if begin < 0:
            return "".join([*out, page[at:]])
        out.append(page[at:begin])
        if begin == comment:
            end = lower.find("-->", begin + len(_COMMENT))
            at = len(page) if end < 0 else end + 3
        else:
            assert hidden is not None
            close = lower.find(f"</{hidden[1]}", begin)
            end = lower.find(">", close) if close >= 0 else -1
            at = len(page) if end < 0 else end + 1


def _ascii_lower(text: str) -> str:
    """Of the same length, which str.lower does not promise."""
    return text.translate({point: point + 32 for point in range(ord("A"), ord("Z") + 1)})
