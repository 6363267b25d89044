"""Text of lines in UTF-8, GB18030 or Big5.

Which of the two legacy encodings a text is in shows in where its two-byte characters lie: nearly all Chinese
text in use is written with the 3,755 characters of GB 2312's first level (lead bytes B0-D7, second byte A1-FE) or
the 5,401 of Big5's first (lead bytes A4-C6). Each encoding read as the other puts about half of them elsewhere.
"""

import codecs
import re
from collections import Counter
from collections.abc import Callable

_LEAST_PAIRS = 16  # fewer two-byte characters in a line decide nothing by themselves
_LEAST_SHARE = 0.75
_LEGACY = {"gb18030": ((0xB0, 0xD7), (0xA1, 0xA3)), "big5": ((0xA4, 0xC6), (0xA1, 0xA3))}
_SAMPLE = 1 << 16
_HEAD = 4096
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "hz": "gb18030", "ascii": "utf-8", "iso8859-1": "cp1252"}


class Decoder:
    """Decodes lines; counts those that were not UTF-8 by encoding.

    head: gives lines of the beginning of the file; asked once, and only when a line alone cannot decide.
    """

    def __init__(self, encoding: str, head: Callable[[], list[bytes]], counts: Counter[str]) -> None:
        self._encoding = encoding
        self._head = head
        self._counts = counts
        self._of_file: str | None = None

    def __call__(self, line: bytes) -> tuple[str, str]:
        """(text, "") or ("", reason)."""
        if self._encoding != "auto":
            return self._decode(line, self._encoding)
        text, fault = self._decode(line, "utf-8")
        if not fault:
            return text, ""
        name = guess(line) or self._file_encoding()
        if name:
            text, other = self._decode(line, name)
            if not other:
                self._counts[name] += 1
                return text, ""
        return "", fault

    def page(self, header: str, body: bytes) -> tuple[str, str]:
        """The same for a page, whose header (its Content-Type) or beginning may name its encoding."""
        name = charset(header, body) if self._encoding == "auto" else ""
        text, fault = self._decode(body, name) if name else ("", "not named")
        if fault:
            return self(body)
        if name != "utf-8":
            self._counts[name] += 1
        return text, ""

    def _file_encoding(self) -> str:
        if self._of_file is None:
            bad, size = [], 0
            for line in self._head():
                if self._decode(line, "utf-8")[1] and size < _SAMPLE:
                    bad.append(line)
                    size += len(line)
            self._of_file = guess(b"\n".join(bad))
        return self._of_file

    @staticmethod
    def _decode(line: bytes, name: str) -> tuple[str, str]:
        try:
            return line.decode(name), ""
        except UnicodeDecodeError as error:
            shown = "UTF-8" if name == "utf-8" else name
            return "", f"invalid {shown} at byte {error.start + 1} of the line"


def charset(content_type: str, body: bytes) -> str:
    """The codec that the header or the page's beginning names; "" when neither names one that exists."""
    for place in (content_type.encode("utf-8", "replace"), body[:_HEAD]):
        if found := _CHARSET.search(place):
            try:
                name = codecs.lookup(found[1].decode("ascii")).name
            except LookupError:
                continue
            return _SUPERSETS.get(name, name)
    return ""


def guess(data: bytes) -> str:
    """ "gb18030", "big5", or "" when the bytes do not show which."""
    best, best_share = "", _LEAST_SHARE
    for name in _LEGACY:
        share = _first_level_share(data, name)
        if share > best_share:
            best, best_share = name, share
    return best


def _first_level_share(data: bytes, name: str) -> float:
    """Part of the characters beyond ASCII in the usual ranges; 0 when they are too few or it is another encoding."""
    try:
        counts = Counter(data.decode(name))
    except UnicodeDecodeError:
        return 0.0
    beyond = {character: count for character, count in counts.items() if character > "\x7f"}
    total = sum(beyond.values())
    if total < _LEAST_PAIRS:
        return 0.0
    usual = 0
    for character, count in beyond.items():
        code = character.encode(name)
        if len(code) == 2 and any(low <= code[0] <= high for low, high in _LEGACY[name]):
            usual += count * (name == "big5" or code[1] >= 0xA1)
    return usual / total
