"""Web archives: those that are written by the rules, and those that are met."""

import gzip
import io
import zlib
from collections import Counter
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from taixue import UserError
from taixue.data_tools import read
from taixue.data_tools.read import ReadOptions

TEXT = "第一段正文，足够长，也有标点符号。"
RAW = TEXT.encode()
Found = tuple[list[str], list[tuple[int, str]], Counter[str]]


def _read(path: Path, raw: bytes, options: ReadOptions | str = "text") -> Found:
    path.write_bytes(raw)
    rejected: list[read.Rejected] = []
    converted: Counter[str] = Counter()
    texts = list(read.documents(read.whole(path), options, rejected.append, converted))
    return texts, [(one.line, one.reason) for one in rejected], converted


def _record(
    content: bytes,
    kind: str = "response",
    content_type: str = "application/http; msgtype=response",
    length: str | None = None,
    end: str = "\r\n",
) -> bytes:
    size = str(len(content)) if length is None else length
    head = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"Content-Type: {content_type}",
        f"Content-Length: {size}",
        "",
        "",
    ]
    return end.join(head).encode() + content + 2 * end.encode()


def _http(body: bytes, *more: str, kind: str = "text/plain; charset=utf-8", end: str = "\r\n") -> bytes:
    return end.join(["HTTP/1.1 200 OK", f"Content-Type: {kind}", *more, "", ""]).encode() + body


def _chunks(body: bytes, *, size: int = 5, last: bytes = b"0\r\n\r\n", extension: bytes = b"") -> bytes:
    parts = [body[k : k + size] for k in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts) + last


def _raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


CHUNKED, GZIP = "Transfer-Encoding: chunked", "Content-Encoding: gzip"
GOOD = {
    "plain": _http(RAW),
    "chunked": _http(_chunks(RAW), CHUNKED),
    "chunked, another spelling": _http(_chunks(RAW), "transfer-encoding:  Chunked"),
    "chunks with extensions": _http(_chunks(RAW, extension=b";a=b"), CHUNKED),
    "chunks with a trailer": _http(_chunks(RAW, last=b"0\r\nX: y\r\n\r\n"), CHUNKED),
    "chunks without an end": _http(_chunks(RAW, last=b""), CHUNKED),
    "chunks with line feeds": _http(_chunks(RAW).replace(b"\r\n", b"\n"), CHUNKED),
    "stored without its chunks": _http(RAW, CHUNKED),
    "gzip": _http(gzip.compress(RAW), GZIP),
    "gzip of two members": _http(gzip.compress(RAW[:12]) + gzip.compress(RAW[12:]), GZIP),
    "gzip with something behind": _http(gzip.compress(RAW) + b"\r\n", GZIP),
    "gzip, stored unpacked": _http(RAW, GZIP),
    "x-gzip": _http(gzip.compress(RAW), "Content-Encoding: x-gzip"),
    "gzip in chunks": _http(_chunks(gzip.compress(RAW)), GZIP, CHUNKED),
    "gzip as a transfer coding": _http(_chunks(gzip.compress(RAW)), "Transfer-Encoding: gzip, chunked"),
    "deflate": _http(zlib.compress(RAW), "Content-Encoding: deflate"),
    "deflate without a head": _http(_raw_deflate(RAW), "Content-Encoding: deflate"),
    "deflate, stored unpacked": _http(RAW, "Content-Encoding: deflate"),
    "br": _http(brotli.compress(RAW), "Content-Encoding: br"),
    "br, stored unpacked": _http(RAW, "Content-Encoding: br"),
    "zstd": _http(zstandard.compress(RAW), "Content-Encoding: zstd"),
    "two codings": _http(brotli.compress(gzip.compress(RAW)), "Content-Encoding: gzip, br"),
    "two headers": _http(brotli.compress(gzip.compress(RAW)), GZIP, "Content-Encoding: br"),
    "a name that is no coding": _http(RAW, "Content-Encoding: UTF-8"),
    "line feeds in the head": _http(RAW, end="\n"),
    "a folded header": _http(RAW, "X: 1\r\n  2"),
}
BAD = {
    "cut off inside a chunk": (_http(_chunks(RAW, last=b"")[:-3], CHUNKED), "cut off inside a chunk of"),
    "a chunk too long": (_http(_chunks(RAW).replace(b"\r\n5\r\n", b"\r\n4\r\n", 1), CHUNKED), "not as long"),
    "gzip, cut off": (_http(gzip.compress(RAW)[:-12], GZIP), "body is cut off"),
    "gzip, damaged": (_http(gzip.compress(RAW)[:-12] + bytes(12), GZIP), "body is damaged"),
    "br, cut off": (_http(brotli.compress(RAW)[:-4], "Content-Encoding: br"), "damaged or cut off"),
    "no response": (RAW, "no HTTP response"),
    "a bomb": (_http(gzip.compress(bytes(10**7)), GZIP), "more than max_document_bytes"),
    "a bomb of brotli": (
        _http(brotli.compress(bytes(10**7)), "Content-Encoding: br"),
        "more than max_document",
    ),
    "a bomb of zstd": (
        _http(zstandard.compress(bytes(10**7)), "Content-Encoding: zstd"),
        "more than max_document",
    ),
    "an image": (_http(RAW, kind="image/png"), "extract its text first"),
}
OPTIONS = ReadOptions(max_document_bytes=1 << 20)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "a member per record"])
@pytest.mark.parametrize("name", GOOD)
def test_bodies(tmp_path: Path, name: str, packed: bool) -> None:
    records = [_record(_http(b"one")), _record(GOOD[name]), _record(_http(b"three"))]
    raw = b"".join(map(gzip.compress, records)) if packed else b"".join(records)
    found = _read(tmp_path / ("a.warc.gz" if packed else "a.warc"), raw, OPTIONS)
    assert found == (["one", TEXT, "three"], [], {})


@pytest.mark.parametrize("name", BAD)
def test_bodies_that_cannot_be_had(tmp_path: Path, name: str) -> None:
    content, reason = BAD[name]
    texts, rejected, _ = _read(
        tmp_path / "a.warc", _record(_http(b"one")) + _record(content) + _record(_http(b"three")), OPTIONS
    )
    assert texts == ["one", "three"]
    assert [number for number, _ in rejected] == [2]
    assert reason in rejected[0][1]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "a member per record"])
@pytest.mark.parametrize("wrong", ["+30", "+300", "+4", "-5", "-20", "-1000", "", "x", "-"])
def test_a_wrong_length(tmp_path: Path, wrong: str, packed: bool) -> None:
    """Nothing of another record comes in, nothing of this one is lost."""
    content = _http(RAW)
    length = str(max(len(content) + int(wrong), 0)) if wrong[1:] else wrong
    records = [_record(_http(b"one")), _record(content, length=length), *[_record(_http(b"three"))] * 3]
    raw = b"".join(map(gzip.compress, records)) if packed else b"".join(records)
    texts, rejected, counted = _read(tmp_path / ("a.warc.gz" if packed else "a.warc"), raw, OPTIONS)
    assert (texts, rejected) == (["one", TEXT, "three", "three", "three"], [])
    assert counted == ({} if wrong == "+4" else {"records with a wrong Content-Length": 1})


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_line_ends(tmp_path: Path, end: str) -> None:
    records = _record(_http(RAW, end=end), end=end) * 2
    assert _read(tmp_path / "a.warc", records)[:2] == ([TEXT, TEXT], [])


def test_records_that_hold_no_page_are_counted(tmp_path: Path) -> None:
    page = _record(_http(RAW))
    others = [
        _record(b"x", kind) for kind in ("warcinfo", "request", "request", "revisit", "metadata", "Revisit")
    ]
    told = (0, "records that hold no page were passed over: 1 metadata, 2 request, 2 revisit")
    assert _read(tmp_path / "a.warc", b"".join(others) + page) == ([TEXT], [told], {})
    assert _read(tmp_path / "a.warc", b"".join(others)) == ([], [told], {})


def test_a_truncated_record(tmp_path: Path) -> None:
    raw = _record(_http(b"one")) * 2 + _record(_http(RAW))[:-20]
    with pytest.raises(UserError, match=r"record 3 is cut off: \d+ of \d+ bytes"):
        _read(tmp_path / "a.warc", raw)
    texts, rejected, _ = _read(tmp_path / "a.warc", raw, ReadOptions(damaged="skip"))
    assert texts == ["one", "one"]
    assert [number for number, _ in rejected] == [0]
    packed = gzip.compress(_record(_http(b"one"))) + gzip.compress(_record(_http(RAW)))[:-20]
    assert _read(tmp_path / "a.warc.gz", packed, ReadOptions(damaged="skip"))[0] == ["one"]


def test_garbage_and_long_records(tmp_path: Path) -> None:
    page = _record(_http(RAW))
    assert _read(tmp_path / "a.warc", page + b"garbage\r\nmore\r\n\r\n" + page)[1] == [
        (2, "no record begins here; passed over up to the next one")
    ]
    long = _record(b"x" * 3000, "conversion", "text/plain")
    texts, rejected, _ = _read(tmp_path / "a.warc", page + long + page, ReadOptions(max_document_bytes=2000))
    assert (texts, rejected) == ([TEXT, TEXT], [(2, "3,000 bytes long; max_document_bytes is 2,000")])


def test_text_records(tmp_path: Path) -> None:
    """Common Crawl's WET files."""
    text = "这是一个用来试验编码的简短中文句子，里面有常用的汉字，也有标点符号。"
    raw = _record(f"{TEXT}\n两行\n".encode(), "conversion", "text/plain") + _record(
        text.encode("gb18030"), "conversion", "text/plain"
    )
    path = tmp_path / "a.warc.wet.gz"
    assert _read(path, gzip.compress(raw)) == ([f"{TEXT}\n两行", text], [], {"gb18030": 1})


@given(
    st.lists(
        st.tuples(
            st.text("a中\r\nW5", min_size=1, max_size=40),
            st.sampled_from(["", "gzip", "deflate", "br"]),
            st.booleans(),
        ),
        max_size=5,
    ),
    st.booleans(),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_warcio_writes_is_read(
    tmp_path: Path, bodies: list[tuple[str, str, bool]], packed: bool
) -> None:
    stream = io.BytesIO()
    writer = WARCWriter(stream, gzip=packed)
    pack = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}
    for text, coding, is_chunked in bodies:
        body = pack[coding](text.encode())
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Encoding", coding)]
        if is_chunked:
            body = _chunks(body, size=7)
            headers.append(("Transfer-Encoding", "chunked"))
        head = StatusAndHeaders("200 OK", headers, protocol="HTTP/1.1")
        page = writer.create_warc_record("http://a.cn/", "response", io.BytesIO(body), http_headers=head)
        writer.write_request_response_pair(
            writer.create_warc_record("http://a.cn/", "request", io.BytesIO(b"GET / HTTP/1.1\r\n\r\n")), page
        )
    name = "a.warc.gz" if packed else "a.warc"
    texts, rejected, counted = _read(tmp_path / name, stream.getvalue(), ReadOptions(damaged="skip"))
    assert texts == [text.strip() for text, _, _ in bodies if text.strip()]
    assert not counted
    assert len([number for number, _ in rejected if number]) == len(bodies) - len(texts)
