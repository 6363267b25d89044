"""Where the noise of a window lies: exactly N tokens in exactly M spans, so that every array of a batch is full.

random: T5's, two uniformly random compositions (Raffel et al. 2020, random_spans_noise_mask). geometric: span lengths
are geometric, truncated at a longest and renormalised (SpanBERT), given their number and sum: uniform over the
compositions without a longer part. words, knowledge: whole units of the annotation (native/plain/unit_spans.py); a
window for which these find no way gets random spans, and is counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from taixue.base import UserError, rng

from .config import SpanKind, UnitsConfig
from .native import masking
from .unit_rules import as_bytes, unit_rules

NOISE_STREAM, TEXT_STREAM, UNIT_STREAM = 1, 2, 4


@dataclass(frozen=True)
class SpanShape:
    """The numbers that follow from input length S, density and mean span length. EOS is counted in both lengths."""

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


@dataclass(frozen=True)
class Drawn:
    """Spans of a batch. noise (B, M): their lengths; text (B, M): length of the text before each; tail (B, 1): after
    the last. cuts (B,): units that lie partly in a span; fell_back (B,): random spans stand for whole units. Both only
    where units are drawn, else 0."""

    noise: np.ndarray
    text: np.ndarray
    tail: np.ndarray
    cuts: np.ndarray
    fell_back: np.ndarray

    def numbers(self) -> np.ndarray:
        """int64 (B, N): number of the span that holds each token of the window, from 1; 0: none."""
        spans = self.noise.shape[1]
        lengths = np.empty((len(self.noise), 2 * spans + 1), np.int64)
        lengths[:, :-1:2], lengths[:, 1::2], lengths[:, -1:] = self.text, self.noise, self.tail
        values = np.zeros(2 * spans + 1, np.int64)
        values[1::2] = np.arange(1, spans + 1)
        return np.repeat(np.tile(values, len(lengths)), lengths.ravel()).reshape(len(lengths), -1)


class SpanSampler:
    """Draws the spans of a shape. special uint8 (V,): ids that no unit holds."""

    def __init__(
        self,
        kind: SpanKind,
        shape: SpanShape,
        units: UnitsConfig,
        special: np.ndarray,
        free_edges: bool = False,
        longest_span: int = 10,
    ) -> None:
        self.shape, self._kind, self._free_edges = shape, kind, free_edges
        self._units, self._special = units, special
        self._bounded = _Bounded(shape, longest_span) if kind == "geometric" else None
        self._rules: masking.UnitRules | None = None

    @property
    def needs_annotation(self) -> bool:
        return self._kind in ("words", "knowledge")

    def annotated(self, schema: Mapping[str, Any]) -> None:
        """See Objective."""
        if self.needs_annotation:
            self._rules = unit_rules(self._units, "word" if self._kind == "words" else "knowledge", schema)

    def __call__(self, tokens: np.ndarray, keys: np.ndarray, rows: np.ndarray | None) -> Drawn:
        """Spans of windows (B, raw_length)."""
        if not self.needs_annotation:
            return self._random(keys)
        assert rows is not None
        assert self._rules is not None
        noise, spans = self.shape.noise_tokens, self.shape.spans
        stream = rng.derive(keys, UNIT_STREAM)
        edges, cuts = masking.unit_spans(
            tokens, as_bytes(rows), stream, self._special, noise, spans, self._rules
        )
        begins, ends = edges[..., 0].astype(np.int64), edges[..., 1].astype(np.int64)
        text = begins.copy()
        text[:, 1:] -= ends[:, :-1]
        drawn = Drawn(ends - begins, text, self.shape.raw_length - ends[:, -1:], cuts, begins[:, 0] < 0)
        lost = np.flatnonzero(drawn.fell_back)
        if len(lost):
            instead = self._random(keys[lost])
            drawn.noise[lost], drawn.text[lost], drawn.tail[lost] = instead.noise, instead.text, instead.tail
        return drawn

    def _random(self, keys: np.ndarray) -> Drawn:
        shape, nothing = self.shape, np.zeros(len(keys), np.int64)
        if self._bounded:
            noise = self._bounded(keys)
        else:
            noise = masking.compositions(rng.derive(keys, NOISE_STREAM), shape.noise_tokens, shape.spans)
        visible = shape.raw_length - shape.noise_tokens
        stream = rng.derive(keys, TEXT_STREAM)
        if not self._free_edges:
            text = masking.compositions(stream, visible, shape.spans)
            return Drawn(noise, text, np.zeros((len(keys), 1), np.int64), nothing, nothing)
        parts = masking.compositions(stream, visible + 2, shape.spans + 1)
        parts[:, [0, -1]] -= 1  # only these two may be empty
        return Drawn(noise, parts[:, :-1], parts[:, -1:], nothing, nothing)


class _Bounded:
    """Compositions of N into M parts of at most `longest`, uniform over all of them: one part after another, with the
    odds that the number of compositions of what is left gives it."""

    def __init__(self, shape: SpanShape, longest: int) -> None:
        noise, spans = shape.noise_tokens, shape.spans
        if spans * longest < noise:
            raise UserError(
                f"objective.longest_span: {spans} spans of at most {longest} tokens hold {spans * longest} of the "
                f"{noise} noise tokens; at least {-(-noise // spans)}"
            )
        self._noise, self._spans = noise, spans
        # limits[k, n, l - 1]: a 32-bit number below it, and not below the one before, gives length l.
        self._limits = np.zeros((spans + 1, noise + 1, longest), np.int64)
        ways = [1] + [0] * noise
        for k in range(1, spans + 1):
            more = [0] * (noise + 1)
            for total in range(k, min(k * longest, noise) + 1):
                parts = [ways[total - length] if length <= total else 0 for length in range(1, longest + 1)]
                below = np.cumsum(np.array(parts, object))
                more[total] = below[-1]
                if more[total]:
                    self._limits[k, total] = [(int(count) << 32) // more[total] for count in below]
            ways = more

    def __call__(self, keys: np.ndarray) -> np.ndarray:
        """int64 (B, M)."""
        numbers = rng.high(rng.draw(keys, NOISE_STREAM, self._spans)).astype(np.int64)
        left = np.full(len(keys), self._noise)
        parts = np.empty((len(keys), self._spans), np.int64)
        for k in range(self._spans):
            limits = self._limits[self._spans - k, left]
            parts[:, k] = 1 + (numbers[:, k, None] >= limits).sum(axis=1)
            left -= parts[:, k]
        return parts
