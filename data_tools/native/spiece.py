"""What encoding needs of a spiece.model, read from its protocol buffer (sentencepiece_model.proto) without protobuf."""

import re
import struct
from collections.abc import Iterator

import numpy as np

from taixue.base import UserError

from .plain.rules import UnigramModel

_UNIGRAM = 1
_NORMAL, _UNKNOWN, _BYTE_TYPE = 1, 2, 6
_BYTE = re.compile(rb"<0x[0-9A-F]{2}>")


def read_model(content: bytes) -> UnigramModel:
    """UserError when it is damaged, not a unigram model, or uses a delimiter between words."""
    try:
        fields = list(_fields(content))
        trainer = dict(_fields(_last(fields, 2, b"")))
        normalizer = dict(_fields(_last(fields, 3, b"")))
        entries = [
            dict(_fields(value)) for number, value in fields if number == 1 and isinstance(value, bytes)
        ]
        pieces = [_bytes(entry.get(1, b"")) for entry in entries]
        scores = np.array([entry.get(2, 0.0) for entry in entries], np.float32)
        types = np.array([entry.get(3, _NORMAL) for entry in entries], np.uint8)
        charsmap = _bytes(normalizer.get(2, b""))
    except (IndexError, ValueError, TypeError, OverflowError, struct.error):
        raise UserError(f"not a SentencePiece model ({len(content)} bytes)") from None
    if trainer.get(3, _UNIGRAM) != _UNIGRAM or not pieces:
        raise UserError("not a unigram model: this encoder is for SentencePiece unigram vocabularies")
    byte_fallback = bool(trainer.get(35, 0))
    is_byte = [bool(_BYTE.fullmatch(piece)) for piece in pieces]
    if not all(pieces) or not np.isfinite(scores).all() or not all(np.array(is_byte)[types == _BYTE_TYPE]):
        raise UserError(
            "damaged SentencePiece model: an empty piece, a score that is no number, or an odd byte piece"
        )
    if _UNKNOWN not in types and not byte_fallback:
        raise UserError("damaged SentencePiece model: neither <unk> nor byte pieces")
    return UnigramModel(
        pieces=pieces,
        scores=scores,
        types=types,
        charsmap=charsmap,
        add_dummy_prefix=bool(normalizer.get(3, 1)),
        remove_extra_whitespaces=bool(normalizer.get(4, 1)),
        escape_whitespaces=bool(normalizer.get(5, 1)),
        whitespace_as_suffix=bool(trainer.get(24, 0)),
        byte_fallback=byte_fallback,
    )


Value = int | float | bytes


def _fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """(field number, value) of a protocol buffer message, in order."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        value: Value
        if kind == 0:
            value, at = _varint(message, at)
        elif kind == 2:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
            if len(value) != length:
                raise ValueError("truncated")
        elif kind == 5:
            (value,) = struct.unpack_from("<f", message, at)
            at += 4
        elif kind == 1:
            (value,) = struct.unpack_from("<d", message, at)
            at += 8
        else:
            raise ValueError(f"wire type {kind}")
        yield key >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _last(fields: list[tuple[int, Value]], number: int, default: bytes) -> bytes:
    return _bytes([default, *(value for key, value in fields if key == number)][-1])


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a string is expected")
    return value
