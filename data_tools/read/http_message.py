"""HTTP responses as crawlers store them: the head, and the body without its codings (RFC 9110, RFC 9112).

Archives hold much that no server would send: bodies that were decoded before they were stored, under a head that still
names their codings; heads with bare line feeds; chunks without an end. What can only be meant in one way is read so.
"""

import re
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import zstandard

from taixue.base import UserError

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,1000})?\r?\n")
_LINE_END = re.compile(rb"\r?\n")


class BodyError(Exception):
    """The body cannot be had. Its text says why."""


class Response(NamedTuple):
    """content_type in lower case, "" where none is named."""

    content_type: str
    body: bytes


def headers(lines: bytes) -> dict[str, str]:
    """Values by name in lower case; those of one name are joined by commas, folded lines by a space."""
    out: dict[str, str] = {}
    name = ""
    for line in lines.decode("utf-8", "replace").split("\n"):
        if line[:1] in (" ", "\t") and name:
            out[name] += " " + line.strip()
            continue
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        out[name] = f"{out[name]}, {value}" if name in out else value
    return out


def response(message: bytes, limit: int) -> Response:
    """The parts of a stored response. BodyError when it is none, is damaged, or its body is longer than limit bytes."""
    if not message.startswith(b"HTTP/"):
        raise BodyError("no HTTP response, though the record says so")
    end = _HEAD_END.search(message)
    head = headers(message[: end.start()] if end else message)
    body = message[end.end() :] if end else b""
    transfer, content = (_words(head.get(name, "")) for name in ("transfer-encoding", "content-encoding"))
    if "chunked" in transfer:
        body = _without_chunks(body)
    for coding in reversed([*content, *transfer]):
        if coding in _DECODERS:
            body = _DECODERS[coding](body, limit)
        if len(body) > limit:
            raise BodyError(f"its {coding} body unpacks to more than max_document_bytes, {limit:,}")
    return Response(head.get("content-type", "").lower(), body)


def _words(value: str) -> list[str]:
    return [word.strip().lower() for word in value.split(",")]


def _without_chunks(body: bytes) -> bytes:
    out: list[bytes] = []
    at = 0
    while found := _CHUNK.match(body, at):
        size = int(found[1], 16)
        if not size:
            return b"".join(out)
        part = body[found.end() : found.end() + size]
        end = _LINE_END.match(body, found.end() + size)
        if not out and (len(part) < size or not end):
            break  # text that begins with a hexadecimal number
        if len(part) < size:
            raise BodyError(f"cut off inside a chunk of {size:,} bytes")
        if not end:
            raise BodyError("a chunk is not as long as it says")
        out.append(part)
        at = end.end()
    if not out:
        return body  # stored without its chunks
    if body[at:].strip():
        raise BodyError("no chunk follows where one should")
    return b"".join(out)


def _gunzip(body: bytes, limit: int) -> bytes:
    if not body.startswith(b"\x1f\x8b"):
        return body
    out: list[bytes] = []
    size = 0
    while body.startswith(b"\x1f\x8b") and size <= limit:
        part, body = _inflate(body, 31, limit + 1 - size)
        out.append(part)
        size += len(part)
    return b"".join(out)


def _undeflate(body: bytes, limit: int) -> bytes:
    """With the head of zlib, as the standard has it, or without, as servers do."""
    for bits in (15, -15):
        try:
            return _inflate(body, bits, limit + 1)[0]
        except BodyError:
            continue
    return _as_stored(body, "deflate")


def _inflate(body: bytes, bits: int, most: int) -> tuple[bytes, bytes]:
    unpacker = zlib.decompressobj(bits)
    try:
        out = unpacker.decompress(body, most)
    except zlib.error as error:
        raise BodyError(f"its compressed body is damaged ({error})") from None
    if not unpacker.eof and len(out) < most:
        raise BodyError("its compressed body is cut off")
    return out, unpacker.unused_data if len(out) < most else b""


def _unbrotli(body: bytes, limit: int) -> bytes:
    try:
        import brotli
    except ImportError:
        raise UserError("a page is packed with brotli: pip install 'taixue-pretrain[web]'") from None
    unpacker: Any = brotli.Decompressor()
    out, size = [], 0
    try:
        part = unpacker.process(body, output_buffer_limit=1 << 20)
        while part and size <= limit:
            out.append(part)
            size += len(part)
            part = b"" if unpacker.is_finished() else unpacker.process(b"", output_buffer_limit=1 << 20)
    except brotli.error:
        return _as_stored(body, "br")
    if size <= limit and not unpacker.is_finished():
        return _as_stored(body, "br")
    return b"".join(out)


def _unzstd(body: bytes, limit: int) -> bytes:
    if not body.startswith(b"\x28\xb5\x2f\xfd"):
        return body
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            body, read_across_frames=True
        ) as reader:
            out = reader.read(limit + 1)
    except zstandard.ZstdError as error:
        raise BodyError(f"its compressed body is damaged ({error})") from None
    return out


def _as_stored(body: bytes, coding: str) -> bytes:
    """What has no mark that tells whether it is packed may have been stored unpacked: then it is text."""
    try:
        body.decode()
    except UnicodeDecodeError:
        raise BodyError(f"its {coding} body is damaged or cut off") from None
    return body


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _undeflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
