"""Texts of lines of JSON."""

import orjson

from .text import Batch


def json_texts(block: bytes, field: str, limit: int) -> tuple[Batch, list[list[int]], int]:
    """(texts, other lines, number of lines); native.json_texts says what they are."""
    texts: list[bytes] = []
    others = []
    begin = 0
    lines = block.removesuffix(b"\n").split(b"\n") if block else []
    for number, line in enumerate(lines):
        text = _text(line, field) if len(line) <= limit else ""
        if text:
            texts.append(text.encode())
        else:
            others.append([number, begin, begin + len(line), len(texts)])
        begin += len(line) + 1
    return Batch(texts), others, len(lines)


def _text(line: bytes, field: str) -> str:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return ""
    text = record.get(field) if isinstance(record, dict) else None
    return text if isinstance(text, str) and not text.isspace() else ""
