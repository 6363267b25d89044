"""Mixtures of denoisers side by side (UL2, Tay et al. 2022), and prefix language modelling as the mixture of one.

Every sample holds one stretch of text for each denoiser, in an order of its own, and each has its weight's part of the
input. So all shapes are fixed whatever the weights, targets of very different lengths need no padding, and each step
sees the mixture exactly. Stretches are told apart by segments (1, 2, ...), inside which attention stays. A stretch is
[mode token, text with sentinels, EOS] and [sentinels and spans, EOS]; a prefix denoiser has no sentinels: [mode token,
first part, EOS] and [last part, EOS]. What rounding leaves of the input goes to the next denoiser, prefix ones last,
which can use it; what none can use is padding, segment 0.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np

from taixue.base import UserError, rng
from taixue.data_tools.tokenizer.base import Tokenizer

from .config import Denoiser, PrefixLmConfig, Ul2Config
from .native import masking
from .spans import Drawn, SpanSampler, SpanShape
from .tags import Features, document_numbers
from .unit_rules import special_ids

MIXTURE_STREAM, STRETCH_STREAM = 6, 7
_MODES = "RSX"


class Denoisers:
    """The objective. Arrays: input_ids (B, S), decoder_input_ids, labels (B, T); with several denoisers, or documents
    separate, segments (B, S) and decoder_segments (B, T), numbers that differ from one segment to the next, 0 for
    padding of the input; those of Features.
    """

    loss_names = ("span",)

    def __init__(self, config: PrefixLmConfig | Ul2Config, tokenizer: Tokenizer) -> None:
        if tokenizer.kind != "t5":
            raise UserError(f"objective {config.kind} needs a t5 tokenizer; this one is {tokenizer.kind}")
        if isinstance(config, PrefixLmConfig):
            prefix = Denoiser(mode="", spans="prefix", noise_density=config.target_share)
            denoisers: tuple[Denoiser, ...] = (prefix,)
            named: Mapping[Any, str] = {}
        else:
            denoisers, named = config.denoisers, config.mode_tokens
        modes, sentinels = _mode_tokens({denoiser.mode for denoiser in denoisers}, named, tokenizer)
        special = special_ids(tokenizer.special_ids, tokenizer.vocab_size)
        _check_shares(denoisers, modes, config.input_length)
        self.parts = [
            _Part(config, denoiser, length, modes.get(denoiser.mode), sentinels, special)
            for denoiser, length in zip(denoisers, _shares(denoisers, config.input_length), strict=True)
        ]
        _use_remainder(self.parts, config.input_length)
        self._input_length = config.input_length
        self._target_length = sum(part.target_length for part in self.parts)
        self.raw_length = sum(part.shape.raw_length for part in self.parts)
        self._separate = config.documents == "separate"
        self._features = Features(config, config.input_length) if config.features else None
        self._eos, self._pad = tokenizer.eos_id, tokenizer.pad_id

    @property
    def padding(self) -> int:
        """Positions of the input that hold nothing."""
        return self._input_length - sum(part.input_length for part in self.parts)

    @property
    def _has_segments(self) -> bool:
        return self._separate or len(self.parts) > 1 or self.padding > 0

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        source, target = (self._input_length,), (self._target_length,)
        shapes: dict[str, tuple[int, ...]] = {
            "input_ids": source,
            "decoder_input_ids": target,
            "labels": target,
        }
        shapes |= {"segments": source, "decoder_segments": target} if self._has_segments else {}
        return shapes | (self._features.shapes if self._features else {})

    @property
    def needs_annotation(self) -> bool:
        return any(part.needs_annotation for part in self.parts) or self._features is not None

    def annotated(self, schema: Mapping[str, Any]) -> None:
        """See Objective."""
        for part in self.parts:
            part.annotated(schema)
        if self._features:
            self._features.annotated(schema)

    def __call__(
        self, tokens: np.ndarray, keys: np.ndarray, rows: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """See Objective."""
        batch, places = len(tokens), self.order(keys)
        arrays = {"input_ids": np.full((batch, self._input_length), self._pad, np.int64)}
        arrays |= {
            name: np.empty((batch, self._target_length), np.int64) for name in ("labels", "decoder_input_ids")
        }
        if self._has_segments:
            arrays["segments"] = np.zeros_like(arrays["input_ids"])
            arrays["decoder_segments"] = np.empty_like(arrays["labels"])
        index = np.full_like(arrays["input_ids"], -1) if self._features else None
        out = arrays if index is None else arrays | {"index": index}
        documents = document_numbers(tokens, self._eos) if self._separate else None
        lengths = np.array(
            [(part.shape.raw_length, part.input_length, part.target_length) for part in self.parts]
        )
        begins = _begins(lengths, places)
        for number, part in enumerate(self.parts):
            begin = np.ascontiguousarray(begins[:, number])
            drawn = part.draw(tokens, _keys(keys, number), rows, begin[:, 0])
            place = places[:, number]
            shift = place * self.raw_length if self._separate else place + 1
            masking.lay_out_spans(
                tokens,
                begin,
                (drawn.noise, drawn.text, drawn.tail),
                part.sentinels,
                (-1 if part.mode is None else part.mode, self._eos, self._pad),
                (documents, shift if self._has_segments else None),
                out,
            )
        if self._features:
            assert rows is not None
            assert index is not None
            arrays |= self._features(rows, index, None)
        return arrays

    def order(self, keys: np.ndarray) -> np.ndarray:
        """int64 (B, parts): place of each part in its row."""
        ranked = rng.order_keys(rng.derive(keys, MIXTURE_STREAM), len(self.parts))
        return np.argsort(np.argsort(ranked, axis=1), axis=1)

    def numbers(
        self, tokens: np.ndarray, keys: np.ndarray, rows: np.ndarray | None
    ) -> tuple[np.ndarray, list[Drawn]]:
        """What was drawn: int64 (B, N), the number of the span that holds each token, different from that of the next
        span, 0 for none; and what each part drew."""
        numbers = np.zeros(tokens.shape, np.int64)
        lengths = np.array([(part.shape.raw_length,) for part in self.parts])
        begins, drawn = _begins(lengths, self.order(keys)), []
        for number, part in enumerate(self.parts):
            raw = begins[:, number, 0, None] + np.arange(part.shape.raw_length)
            found = part.draw(tokens, _keys(keys, number), rows, begins[:, number, 0])
            spans = found.numbers()
            np.put_along_axis(numbers, raw, np.where(spans > 0, spans + raw[:, :1], 0), axis=1)
            drawn.append(found)
        return numbers, drawn


class _Part:
    """One denoiser on a stretch whose input has at most `length` positions."""

    def __init__(
        self,
        config: PrefixLmConfig | Ul2Config,
        denoiser: Denoiser,
        length: int,
        mode: int | None,
        sentinels: np.ndarray,
        special: np.ndarray,
    ) -> None:
        self._config, self._denoiser, self.mode, self._special = config, denoiser, mode, special
        self._all_sentinels = sentinels
        self.is_prefix = denoiser.spans == "prefix"
        self.resize(length)

    def resize(self, length: int) -> None:
        """Take as long a stretch as fits in `length` positions. UserError when none does."""
        denoiser, room = self._denoiser, length - (self.mode is not None)
        density, mean = denoiser.noise_density, denoiser.mean_span_length
        if self.is_prefix:
            self.shape = _prefix_shape(room, density)
            self._sampler, self.sentinels = None, self._all_sentinels[:0]
            return
        self.shape = SpanShape.of_input(room, density, mean)
        if self.shape.spans > len(self._all_sentinels):
            raise UserError(
                f"objective: {self.shape.spans} spans of denoiser {denoiser.mode} (density {density}, mean span "
                f"{mean}) need as many sentinels, the tokenizer has {len(self._all_sentinels)} left; lower "
                f"input_length ({self._config.input_length}) or train a tokenizer with more sentinels"
            )
        self.sentinels = self._all_sentinels[: self.shape.spans]
        assert isinstance(self._config, Ul2Config)
        assert denoiser.spans != "prefix"
        self._sampler = SpanSampler(
            denoiser.spans, self.shape, self._config.units, self._special, True, self._config.longest_span
        )

    @property
    def input_length(self) -> int:
        shape = self.shape
        spans = shape.spans if len(self.sentinels) else 0
        return shape.raw_length - shape.noise_tokens + spans + 1 + (self.mode is not None)

    @property
    def target_length(self) -> int:
        return self.shape.noise_tokens + (self.shape.spans if len(self.sentinels) else 0) + 1

    @property
    def needs_annotation(self) -> bool:
        return self._sampler is not None and self._sampler.needs_annotation

    def annotated(self, schema: Mapping[str, Any]) -> None:
        if self._sampler:
            self._sampler.annotated(schema)

    def draw(
        self, tokens: np.ndarray, keys: np.ndarray, rows: np.ndarray | None, begins: np.ndarray
    ) -> Drawn:
        """Spans of the stretches that begin there (B,)."""
        if self._sampler is None:
            one, nothing = (len(tokens), 1), np.zeros(len(tokens), np.int64)
            noise = np.full(one, self.shape.noise_tokens)
            return Drawn(noise, self.shape.raw_length - noise, np.zeros(one, np.int64), nothing, nothing)
        if not self._sampler.needs_annotation:
            return self._sampler(tokens, keys, None)
        assert rows is not None
        raw = begins[:, None] + np.arange(self.shape.raw_length)
        return self._sampler(
            np.take_along_axis(tokens, raw, axis=1), keys, np.take_along_axis(rows, raw, axis=1)
        )


def _mode_tokens(
    used: set[str], named: Mapping[Any, str], tokenizer: Tokenizer
) -> tuple[dict[str, int], np.ndarray]:
    """(id of each mode, sentinels that are left for spans). Modes without a piece of their own take the last ones."""
    pieces = (
        {name: number for number, name in enumerate(tokenizer.pieces(range(tokenizer.vocab_size)))}
        if named
        else {}
    )
    modes = {}
    for mode, piece in named.items():
        if piece not in pieces:
            raise UserError(f"objective.mode_tokens.{mode}: {piece!r} is no piece of the tokenizer")
        modes[mode] = pieces[piece]
    sentinels = tokenizer.sentinel_ids
    unnamed = [mode for mode in _MODES if mode in used - set(modes)]
    if len(sentinels) <= len(unnamed):
        raise UserError(
            f"objective.mode_tokens: the tokenizer's {len(sentinels)} sentinels are too few to spare {len(unnamed)}"
        )
    left = len(sentinels) - len(unnamed)
    return modes | dict(zip(unnamed, sentinels[left:], strict=True)), np.array(sentinels[:left], np.int64)


def _shares(denoisers: tuple[Denoiser, ...], length: int) -> list[int]:
    """The input's positions in proportion to the weights, rounded down."""
    total = sum(denoiser.weight for denoiser in denoisers)
    return [int(length * denoiser.weight / total) for denoiser in denoisers]


def _check_shares(denoisers: tuple[Denoiser, ...], modes: Mapping[str, int], length: int) -> None:
    """UserError when a denoiser's part of the input holds no stretch of text."""
    needs = [
        (denoiser.mode in modes)
        + (
            2
            if denoiser.spans == "prefix"
            else SpanShape.of_window(2, denoiser.noise_density, denoiser.mean_span_length).input_length
        )
        for denoiser in denoisers
    ]
    least = length
    while any(share < need for share, need in zip(_shares(denoisers, least), needs, strict=True)):
        total = sum(denoiser.weight for denoiser in denoisers)
        asked = max(need * total / denoiser.weight for need, denoiser in zip(needs, denoisers, strict=True))
        least = max(least + 1, ceil(asked))
    if least > length:
        shares = ", ".join(map(str, _shares(denoisers, length)))
        raise UserError(
            f"objective.input_length: {length} is too short for {len(denoisers)} denoisers, which get {shares} tokens "
            f"of it and need {', '.join(map(str, needs))}; at least {least}"
        )


def _use_remainder(parts: list[_Part], length: int) -> None:
    """Give each part in turn, prefix ones last, what the parts leave of the input."""
    for part in sorted(parts, key=lambda part: part.is_prefix):
        left = length - sum(other.input_length for other in parts)
        if left:
            part.resize(part.input_length + left)


def _prefix_shape(length: int, share: float) -> SpanShape:
    """The longest window whose first part and EOS have `length` positions; its last part, at least a token, is `share`
    of it, rounded."""
    if length < 2:
        raise UserError(f"objective.input_length leaves {length} positions for a prefix; at least 2")
    noise = max(1, round((length - 1) * share / (1 - share)))
    return SpanShape(length - 1 + noise, noise, 1)


def _begins(lengths: np.ndarray, places: np.ndarray) -> np.ndarray:
    """int64 (B, parts, K): sum of the lengths (parts, K) of the parts that come before each, by place (B, parts)."""
    before = places[:, None, :] < places[:, :, None]  # (B, part, other)
    return before.astype(np.int64) @ lengths


def _keys(keys: np.ndarray, number: int) -> np.ndarray:
    return rng.derive(rng.derive(keys, STRETCH_STREAM), number)
