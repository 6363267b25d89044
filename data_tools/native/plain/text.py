"""Texts as str, whatever they came as."""

from collections.abc import Iterator

import numpy as np

from .rules import Texts


class Batch:
    """Texts as UTF-8. The C++ class of this name keeps them in one buffer."""

    def __init__(self, texts: list[bytes]) -> None:
        self._texts = texts

    @classmethod
    def cut(cls, content: bytes, lengths: np.ndarray) -> "Batch":
        """ValueError when a text is not UTF-8."""
        ends = np.cumsum(lengths, dtype=np.int64)
        texts = [content[end - size : end] for end, size in zip(ends.tolist(), lengths.tolist(), strict=True)]
        strings(texts)
        return cls(texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, number: int) -> bytes:
        return self._texts[number]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._texts)

    def select(self, which: np.ndarray) -> "Batch":
        """The texts with these numbers."""
        return Batch([self._texts[number] for number in which.tolist()])


def strings(texts: Texts) -> list[str]:
    """UTF-8 bytes decoded. ValueError for lone surrogates and for bytes that are not UTF-8."""
    return [text if isinstance(text, str) and text.encode() is not None else _decoded(text) for text in texts]


def _decoded(text: str | bytes) -> str:
    if isinstance(text, bytes):
        return text.decode()
    raise TypeError(f"a text is str or bytes, not {type(text).__name__}")
