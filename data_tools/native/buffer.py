"""Texts as one buffer of UTF-8: made, compared and counted."""

from collections.abc import Sequence
from typing import cast

import numpy as np

from .extension import loaded
from .plain.rules import Texts
from .plain.text import Batch, strings


def batch(content: bytes, lengths: np.ndarray) -> Batch:
    """UTF-8 texts that lie one after another in one bytes object; every function here takes them without copying them
    or checking them again.

    lengths: bytes of each text, integers (N,). ValueError when a text is not UTF-8.
    """
    extension = loaded()
    return (
        Batch.cut(content, lengths) if extension is None else cast(Batch, extension.Batch(content, lengths))
    )


def gather(parts: Sequence[Texts]) -> Batch:
    """The texts of all parts as one batch, without copying them."""
    extension = loaded()
    if extension is None:
        return Batch([text.encode() for part in parts for text in strings(part)])
    return cast(Batch, extension.gather(parts))


def are_blank(texts: Texts) -> np.ndarray:
    """bool (N,): texts of nothing but white space, empty ones too."""
    extension = loaded()
    if extension is None:
        return np.fromiter((not text.strip() for text in strings(texts)), bool, len(texts))
    blank: np.ndarray = extension.are_blank(texts)
    return blank


def are_equal(texts: Texts, others: Texts) -> np.ndarray:
    """bool (N,): which texts are those of the other sequence at the same place. ValueError for different lengths."""
    extension = loaded()
    if extension is None:
        pairs = zip(strings(texts), strings(others), strict=True)
        return np.fromiter((one == other for one, other in pairs), bool, len(texts))
    equal: np.ndarray = extension.are_equal(texts, others)
    return equal


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
