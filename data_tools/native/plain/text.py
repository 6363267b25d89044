"""Texts as str, whatever they came as."""

from ..rules import Texts


def strings(texts: Texts) -> list[str]:
    """UTF-8 bytes decoded. ValueError for lone surrogates and for bytes that are not UTF-8."""
    return [text if isinstance(text, str) and text.encode() is not None else _decoded(text) for text in texts]


def _decoded(text: str | bytes) -> str:
    if isinstance(text, bytes):
        return text.decode()
    raise TypeError(f"a text is str or bytes, not {type(text).__name__}")
