"""Texts as one buffer of UTF-8."""

from typing import cast

import numpy as np

from .extension import loaded
from .plain.text import Batch, strings
from .rules import Texts


def batch(content: bytes, lengths: np.ndarray) -> Batch:
    """UTF-8 texts that lie one after another in one bytes object; every function here takes them without copying them
    or checking them again.

    lengths: bytes of each text, integers (N,). ValueError when a text is not UTF-8.
    """
    extension = loaded()
    return (
        Batch.cut(content, lengths) if extension is None else cast(Batch, extension.Batch(content, lengths))
    )


def joined(texts: Texts) -> bytes:
    """The UTF-8 of all texts, one after another."""
    extension = loaded()
    if extension is None:
        return "".join(strings(texts)).encode()
    content: bytes = extension.joined(texts)
    return content


def byte_counts(texts: Texts) -> np.ndarray:
    """int64 (N,): length of each text's UTF-8. str objects remember their UTF-8, so asking later costs less."""
    extension = loaded()
    if extension is None:
        return np.fromiter((len(text.encode()) for text in strings(texts)), np.int64, len(texts))
    counts: np.ndarray = extension.byte_counts(texts)
    return counts
