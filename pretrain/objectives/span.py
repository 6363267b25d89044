"""T5 span corruption (Raffel et al. 2020; random_spans_helper, random_spans_noise_mask in google-research's
t5).

Of n tokens, N = round(n * density) are noise, in M = round(N / mean span length) spans. The spans' lengths
are a uniformly random composition of N into M parts, those of the text between them one of n - N into M
parts; text comes first, a span ends the window. With free_edges a last text follows (M + 1 parts), and first and last
text may be empty. Input: every span replaced by its sentinel, then EOS. Target:
every sentinel followed by its span, then EOS. N and M are fixed, so every array is full: no padding. n is the largest
window whose input is not longer than asked.
"""

from dataclasses import dataclass

import numpy as np

from taixue import UserError
from taixue.data_tools.tokenizer_base import Tokenizer

from ..config.schema import SpanCorruptionConfig
from . import rng

NOISE_STREAM, TEXT_STREAM = 1, 2


@dataclass(frozen=True)
class SpanShape:
    """The numbers that follow from input length S, density and mean span length. EOS is counted in both
    lengths.
    """

    raw_length: int
    noise_tokens: int
    spans: int

    @property
    def input_length(self) -> int:
        return self.raw_length - self.noise_tokens + self.spans + 1

    @property
    def target_length(self) -> int:
        return self.noise_tokens + self.spans + 1

    @staticmethod
    def of_window(raw_length: int, density: float, mean_span: float) -> "SpanShape":
        """Noise and spans of a window of raw_length tokens."""
        noise = min(max(round(raw_length * density), 1), raw_length - 1)
        spans = max(1, round(noise / mean_span))
        return SpanShape(raw_length, noise, min(spans, noise, raw_length - noise))

    @staticmethod
    def of_input(input_length: int, density: float, mean_span: float) -> "SpanShape":
        """The largest window whose input has at most input_length tokens. UserError when there is none."""
        shape = SpanShape.of_window(2, density, mean_span)
        if shape.input_length > input_length:
            raise UserError(
                f"objective.input_length {input_length} is too short; at least {shape.input_length}"
            )
        while (
            longer := SpanShape.of_window(shape.raw_length + 1, density, mean_span)
        ).input_length <= input_length:
            shape = longer
        return shape


class SpanCorruption:
    """The objective. Arrays: input_ids (B, S), decoder_input_ids (B, T), labels (B, T); every label counts.

    decoder_input_ids is labels shifted right behind pad, T5's start token.
    """

    loss_names = ("span",)

    def __init__(self, config: SpanCorruptionConfig, tokenizer: Tokenizer) -> None:
        if tokenizer.kind != "t5":
            raise UserError(f"objective span-corruption needs a t5 tokenizer; this one is {tokenizer.kind}")
        self.shape = SpanShape.of_input(config.input_length, config.noise_density, config.mean_span_length)
        if self.shape.input_length != config.input_length:
            raise UserError(
                f"objective: no window gives input_length {config.input_length} exactly with noise_density "
                f"{config.noise_density} and mean_span_length {config.mean_span_length}; "
                f"{self.shape.input_length} is possible"
            )
        if self.shape.spans > len(tokenizer.sentinel_ids):
            raise UserError(
                f"objective: {self.shape.spans} spans per window need as many sentinels, the tokenizer has "
                f"{len(tokenizer.sentinel_ids)}; lower input_length ({config.input_length}) or noise_density "
                f"({config.noise_density}), raise mean_span_length ({config.mean_span_length}), or train a tokenizer "
                "with more sentinels"
            )
        self._free_edges = config.free_edges
        self._sentinels = np.array(tokenizer.sentinel_ids[: self.shape.spans], np.int64)
        self._eos, self._start = tokenizer.eos_id, tokenizer.pad_id

    @property
    def raw_length(self) -> int:
        return self.shape.raw_length

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        source, target = (self.shape.input_length,), (self.shape.target_length,)
        return {"input_ids": source, "decoder_input_ids": target, "labels": target}

    def __call__(self, tokens: np.ndarray, keys: np.ndarray) -> dict[str, np.ndarray]:
        """See Objective."""
        batch, shape = len(tokens), self.shape
        noise = _composition(keys, NOISE_STREAM, shape.noise_tokens, shape.spans)
        text, tail = self._text(keys)
        noise_before, text_before = _before(noise), _before(text)
        span = np.arange(shape.spans)

        # Both sides are segments, each from raw tokens that lie together: an offset per segment leads to them.
        source = np.empty((batch, shape.input_length), np.int64)
        offsets = np.hstack((noise_before - span, np.full_like(tail, shape.noise_tokens - shape.spans)))
        source[:, :-1] = _gather(tokens, offsets, np.hstack((text + 1, tail)))
        np.put_along_axis(
            source, text_before + text + span, np.broadcast_to(self._sentinels, text.shape), axis=1
        )
        source[:, -1] = self._eos

        labels = np.empty((batch, shape.target_length), np.int64)
        labels[:, :-1] = _gather(tokens, text_before + text - span - 1, noise + 1)
        np.put_along_axis(labels, noise_before + span, np.broadcast_to(self._sentinels, noise.shape), axis=1)
        labels[:, -1] = self._eos

        shifted = np.empty_like(labels)
        shifted[:, 0] = self._start
        shifted[:, 1:] = labels[:, :-1]
        return {"input_ids": source, "decoder_input_ids": shifted, "labels": labels}

    def _text(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lengths of the text before each span (B, M) and after the last one (B, 1)."""
        visible, spans = self.shape.raw_length - self.shape.noise_tokens, self.shape.spans
        if not self._free_edges:
            return _composition(keys, TEXT_STREAM, visible, spans), np.zeros((len(keys), 1), np.int64)
        parts = _composition(keys, TEXT_STREAM, visible + 2, spans + 1)
        parts[:, [0, -1]] -= 1  # only these two may be empty
        return parts[:, :-1], parts[:, -1:]


def _composition(keys: np.ndarray, stream: int, total: int, parts: int) -> np.ndarray:
    """int64 (B, parts), each >= 1, rows summing to total: uniform over all compositions."""
    edges = np.empty((len(keys), parts + 1), np.int64)
    edges[:, 0], edges[:, -1] = 0, total
    edges[:, 1:-1] = rng.random_subset(keys, stream, total - 1, parts - 1) + 1
    return np.diff(edges, axis=1)


def _before(lengths: np.ndarray) -> np.ndarray:
    """Sum of the lengths to the left, (B, parts)."""
    return np.cumsum(lengths, axis=1) - lengths


def _gather(tokens: np.ndarray, offsets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(B, sum of lengths): out[b, p] = tokens[b, p + the offset of the segment that p is in]."""
    batch, window = tokens.shape
    rows = np.arange(batch)[:, None] * window
    index = np.repeat((offsets + rows).ravel(), lengths.ravel()).reshape(batch, -1)
    index += np.arange(index.shape[1])
    return tokens.ravel()[index]
