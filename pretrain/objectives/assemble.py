"""From spans to what T5 reads and writes.

Input: every span replaced by its sentinel, then EOS. Target: every sentinel followed by its span, then EOS. Without
sentinels (prefix language modelling) the input is the text, the target the noise.
"""

from typing import NamedTuple

import numpy as np

from .spans import Drawn


class Corrupted(NamedTuple):
    """source (B, S), labels (B, T); and the place in the window of what stands there: source_places (B, S) and
    label_places (B, T). A sentinel has that of its span's first token, minus the window's length; EOS the window's
    length. int64; the places are None where nobody asked."""

    source: np.ndarray
    labels: np.ndarray
    source_places: np.ndarray | None
    label_places: np.ndarray | None


def assemble(
    tokens: np.ndarray, drawn: Drawn, sentinels: np.ndarray, eos: int, with_places: bool
) -> Corrupted:
    """Windows (B, N) with their spans drawn; sentinels (M,), or (0,) for none."""
    window = tokens.shape[1]
    noise, text, tail = drawn.noise, drawn.text, drawn.tail
    noise_before, text_before = _before(noise), _before(text)
    mark = int(len(sentinels) > 0)
    span = np.arange(noise.shape[1]) * mark
    total = noise[0].sum() if len(noise) else 0

    # Both sides are segments, each from raw tokens that lie together: an offset per segment leads to them.
    after = np.full_like(tail, total - noise.shape[1] * mark)
    source_places = _places(np.hstack((noise_before - span, after)), np.hstack((text + mark, tail)))
    label_places = _places(text_before + text - span - mark, noise + mark)
    source, labels = _filled(tokens, source_places, eos), _filled(tokens, label_places, eos)
    source_marks, label_marks = text_before + text + span, noise_before + span
    if mark:
        marks = np.broadcast_to(sentinels, noise.shape)
        np.put_along_axis(source, source_marks, marks, axis=1)
        np.put_along_axis(labels, label_marks, marks, axis=1)
    if not with_places:
        return Corrupted(source, labels, None, None)
    firsts = noise_before + text_before + text - window
    end = np.full_like(tail, window)
    places = np.hstack((source_places, end)), np.hstack((label_places, end))
    if mark:
        np.put_along_axis(places[0], source_marks, firsts, axis=1)
        np.put_along_axis(places[1], label_marks, firsts, axis=1)
    return Corrupted(source, labels, *places)


def token_index(places: np.ndarray, window: int) -> np.ndarray:
    """Places of tokens, -1 for sentinels and EOS."""
    return np.where((places < 0) | (places >= window), -1, places)


def segments_of(places: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """Document of each position, from those of the window's tokens (B, N): a sentinel is in that of its span's first
    token, EOS in that of what stands before it, a mode token in that of what stands after it."""
    window = documents.shape[1]
    raw = np.where(places < 0, places + window, places)
    raw[:, -1] = raw[:, -2]
    raw[:, 0] = np.where(raw[:, 0] == window, raw[:, 1], raw[:, 0])
    return np.take_along_axis(documents, raw, axis=1)


def shifted_right(labels: np.ndarray, start: int, segments: np.ndarray | None) -> np.ndarray:
    """What the decoder reads: labels (B, T) one place later, and `start` at the beginning of each segment (B, T)."""
    shifted = np.empty_like(labels)
    shifted[:, 0] = start
    shifted[:, 1:] = labels[:, :-1]
    if segments is not None:
        shifted[:, 1:][segments[:, 1:] != segments[:, :-1]] = start
    return shifted


def _before(lengths: np.ndarray) -> np.ndarray:
    """Sum of the lengths to the left, (B, parts)."""
    return np.cumsum(lengths, axis=1) - lengths


def _places(offsets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(B, sum of lengths): p + the offset of the segment that p is in."""
    places = np.repeat(offsets.ravel(), lengths.ravel()).reshape(len(offsets), -1)
    places += np.arange(places.shape[1])
    return places


def _filled(tokens: np.ndarray, places: np.ndarray, eos: int) -> np.ndarray:
    """int64 (B, places + 1): tokens at places, then eos. A place of -1, which a sentinel takes, may hold anything."""
    batch, window = tokens.shape
    out = np.empty((batch, places.shape[1] + 1), np.int64)
    rows = np.arange(batch)[:, None] * window
    # take with a mode is faster than an index.
    out[:, :-1] = tokens.ravel().take(places + rows, mode="clip")
    out[:, -1] = eos
    return out
