"""The text of a page of the web: what of it is text at all, in its encoding, and of HTML the main text.

Main text is found by resiliparse (extra [web]); docs/corpus.md has the numbers that chose it.
"""

import re
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from taixue.base import UserError

from .encoding import Decoder
from .records import ReadOptions

HTML = ("text/html", "application/xhtml+xml")
_LIBRARY = "resiliparse"
_DEEPEST = 1000  # browsers stop at 512
# Elements that hold others and that nothing but an end tag closes.
_NESTING = re.compile(
    r"<(/?)(?!(?:p|li|d[dt]|t[dhr]|br|hr|img|input|link|meta|option|wbr)[\s/>])[A-Za-z]", re.IGNORECASE
)
_HTML_STARTS = (b"<!doctype html", b"<html")


def text_of(kind: str, body: bytes, decode: Decoder, options: ReadOptions) -> tuple[str, str]:
    """(text, "") or ("", reason). kind: the Content-Type."""
    is_html = kind.startswith(HTML) or (not kind and body.lstrip()[:20].lower().startswith(_HTML_STARTS))
    if not is_html and not kind.startswith("text/plain"):
        return "", f"{kind or 'content of no named kind'}; extract its text first (WET)"
    text, reason = decode.page(kind, body)
    if reason:
        return "", reason
    if is_html:
        text = main_text(text) if options.main_text else all_text(text)
    text = text.strip()
    return (text, "") if text else ("", "only white space" if not is_html else "a page without text")


def main_text(page: str) -> str:
    """Of an HTML page, without menus, side bars, comments and what is hidden; a line for each block.

    A page nested deeper than any browser shows gives all its text: the search for the main part takes quadratic time.
    """
    if page.count("<") > 2 * _DEEPEST and _depth(page) > _DEEPEST:
        return all_text(page)
    return _lines(_extract()(page, main_content=True, comments=False, alt_texts=False, list_bullets=False))


def all_text(page: str) -> str:
    """The same with everything that is shown."""
    return _lines(_extract()(page, alt_texts=False, list_bullets=False))


def _depth(page: str) -> int:
    """At most so many elements are inside each other."""
    depth = deepest = 0
    for tag in _NESTING.finditer(page):
        depth = max(depth - 1, 0) if tag[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest


def _lines(text: str) -> str:
    lines = (line.rstrip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


@cache
def library() -> str:
    """What takes text out of HTML, and its version: part of what a shard is made from. "" where it is not installed."""
    with suppress(PackageNotFoundError):
        return f"{_LIBRARY} {version(_LIBRARY)}"
    return ""


@cache
def _extract() -> Any:
    try:
        from resiliparse.extract.html2text import extract_plain_text
    except ImportError:
        raise UserError("text of HTML pages needs resiliparse: pip install 'taixue-pretrain[web]'") from None
    return extract_plain_text
