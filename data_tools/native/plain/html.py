"""Twin of html.cc: remnants of HTML in a text that is no page.

`<` begins a tag only where the tokenizer of the HTML standard says so (before a letter, or / and a letter), and only
what looks like one is taken for it: a known element, with attributes that HTML could have. Elements whose names are
words, too (<map>, x<b>y), need attributes or a closing tag later in the text.
"""

import re
from functools import cache
from html.entities import html5

from .rules import BLOCKS, FLAGS, INLINE, PLAIN

_MOST_ATTRIBUTES = 64
_START = re.compile(rb"[<&]")
_DECLARATION = re.compile(rb"<(?:!DOCTYPE|\?xml)[\t\n\f\r ][^<>]{0,1000}+>", re.IGNORECASE)
_ENTITY = re.compile(
    rb"&(?:#([0-9]{1,7}+)|#[xX]([0-9A-Fa-f]{1,6}+)|([A-Za-z][A-Za-z0-9]{0,31}+));", re.IGNORECASE
)
_TAG = re.compile(rb"<(/?)([A-Za-z][A-Za-z0-9]{0,15}+)")
_CLOSING = re.compile(rb"</([A-Za-z][A-Za-z0-9]{0,15}+)[\t\n\f\r ]*+>")
_SEPARATOR = re.compile(rb"[\t\n\f\r /]*+")
_ATTRIBUTE = re.compile(rb"[A-Za-z_:@][-A-Za-z0-9_:.@]{0,63}+")
_VALUE = re.compile(
    rb"[\t\n\f\r ]*+=[\t\n\f\r ]*+"
    rb"(?:\"[^\"]{0,16384}+\"|'[^']{0,16384}+'|[^\t\n\f\r \"'=<>`]{1,16384}+)"
)


def without_html(text: str) -> str:
    """Remnants of HTML resolved, from left to right, each place once."""
    raw = text.encode()
    out, copied, at = [], 0, 0
    while found := _START.search(raw, at):
        begin = found.start()
        is_entity = found[0] == b"&"
        end, replacement = _entity(raw, begin) if is_entity else _markup(raw, begin)
        at = end or begin + 1
        if end:
            out += [raw[copied:begin], replacement]
            copied = end
    return b"".join([*out, raw[copied:]]).decode()


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


def _entity(raw: bytes, at: int) -> tuple[int, bytes]:
    """(end, what takes its place), or end 0."""
    found = _ENTITY.match(raw, at)
    if not found:
        return 0, b""
    decimal, hexadecimal, name = found.groups()
    if name:
        value = entities().get(name.decode())
        return (0, b"") if value is None else (found.end(), value.encode())
    return found.end(), numeric_entity(int(decimal) if decimal else int(hexadecimal, 16)).encode()


def _markup(raw: bytes, at: int) -> tuple[int, bytes]:
    """The same for a comment, a declaration or a tag."""
    if raw.startswith(b"<!--", at):
        return raw.find(b"-->", at + 4) + 3 if b"-->" in raw[at + 4 :] else 0, b""
    if found := _DECLARATION.match(raw, at):
        return found.end(), b""
    if not (found := _TAG.match(raw, at)):
        return 0, b""
    name = found[2].lower().decode()
    if name not in BLOCKS | INLINE:
        return 0, b""
    end, is_certain = _rest_of_tag(raw, found.end(), bool(found[1]))
    if end and not is_certain and name not in PLAIN and not _is_closed(raw, end, found[2].lower()):
        end = 0
    return end, b"\n" if name in BLOCKS else b""


def _rest_of_tag(raw: bytes, at: int, is_closing: bool) -> tuple[int, bool]:
    """(what follows `>`, or 0 where this is no tag; whether nothing but a tag looks like this)."""
    attributes = 0
    while True:
        found = _SEPARATOR.match(raw, at)
        assert found
        if raw[found.end() : found.end() + 1] == b">":
            return found.end() + 1, is_closing or attributes > 0 or found[0].endswith(b"/")
        attribute = _ATTRIBUTE.match(raw, found.end())
        is_glued = not found[0] and not attributes
        if is_closing or is_glued or attributes == _MOST_ATTRIBUTES or not attribute:
            return 0, False
        value = _VALUE.match(raw, attribute.end())
        if not value and attribute[0].lower().decode() not in FLAGS:
            return 0, False
        attributes += 1
        at = (value or attribute).end()


def _is_closed(raw: bytes, at: int, name: bytes) -> bool:
    return any(found[1].lower() == name for found in _CLOSING.finditer(raw, at))
