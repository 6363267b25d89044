"""Web archives (ISO 28500): one document per record of text, as in Common Crawl's WET files.

Records that hold no page (warcinfo, request, metadata, revisit) are passed over. Of a page in HTML the text is taken
(html.py); other kinds of content are rejected.
"""

from collections import Counter
from collections.abc import Iterator

from . import html
from .encoding import Decoder
from .lines import too_long
from .records import DamagedError, Piece, ReadOptions, Reject
from .streams import Buffer, blocks, reading

_PAGES = ("conversion", "resource", "response")
_LONGEST_HEADER = 1 << 16


def texts(piece: Piece, options: ReadOptions, reject: Reject, converted: Counter[str]) -> Iterator[str]:
    """Texts of the records; a record's number counts all records of the file."""
    decode = Decoder(options.encoding, list, converted)
    number = 0
    with reading(piece.path):
        buffer = Buffer(blocks(piece.path))
        while line := buffer.line():
            if not line.strip():
                continue
            number += 1
            if not line.startswith(b"WARC/"):
                reject(number, "no record begins here; passed over up to the next one")
                while line and not line.startswith(b"WARC/"):
                    line = buffer.line()
                if not line:
                    return
                number += 1
            headers = _headers(buffer)
            try:
                size = int(headers.get("content-length", ""))
            except ValueError:
                size = -1
            if size < 0:
                raise DamagedError(f"record {number} does not say how long it is; its rest cannot be read")
            is_page = headers.get("warc-type", "") in _PAGES
            keep = is_page and size <= options.max_document_bytes
            content = buffer.read(size, keep)
            if not is_page:
                continue
            if not keep:
                reject(number, too_long(size, options))
                continue
            content, kind = _body(content, headers)
            is_html = kind.startswith(html.KINDS)
            if not is_html and not kind.startswith("text/plain"):
                reject(number, f"{kind or 'content of no named kind'}; extract its text first (WET)")
                continue
            text, reason = decode.page(kind, content)
            if is_html:
                text = html.text_of(text)
            if not reason and (not text or text.isspace()):
                reason = "only white space"
            if reason:
                reject(number, reason.replace("of the line", "of the record"))
            else:
                yield text.strip()


def _headers(buffer: Buffer) -> dict[str, str]:
    headers: dict[str, str] = {}
    size = 0
    while (line := buffer.line()).strip():
        size += len(line)
        if size > _LONGEST_HEADER:
            raise DamagedError(f"a record's header is longer than {_LONGEST_HEADER:,} bytes")
        name, _, value = line.decode("utf-8", "replace").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def _body(content: bytes, headers: dict[str, str]) -> tuple[bytes, str]:
    """(content, its type); behind the HTTP header where there is one."""
    kind = headers.get("content-type", "").lower()
    if not kind.startswith("application/http"):
        return content, kind
    head, _, body = content.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-type:"):
            return body, line.decode("utf-8", "replace").partition(":")[2].strip().lower()
    return body, ""
