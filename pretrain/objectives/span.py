"""T5 span corruption (Raffel et al. 2020; random_spans_helper, random_spans_noise_mask in google-research's t5).

Of n tokens, N = round(n * density) are noise, in M = round(N / mean span length) spans. The spans' lengths
are a uniformly random composition of N into M parts, those of the text between them one of n - N into M
parts; text comes first, a span ends the window. With free_edges a last text follows (M + 1 parts), and first and last
text may be empty. Other kinds of spans: spans.py. Input: every span replaced by its sentinel, then EOS. Target:
every sentinel followed by its span, then EOS. N and M are fixed, so every array is full: no padding. n is the largest
window whose input is not longer than asked.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from taixue.base import UserError
from taixue.data_tools.tokenizer.base import Tokenizer

from .config import SpanCorruptionConfig
from .native import masking
from .spans import SpanSampler, SpanShape
from .tags import Features, document_numbers
from .unit_rules import special_ids

__all__ = ["SpanCorruption", "SpanShape"]


class SpanCorruption:
    """The objective. Arrays: input_ids (B, S), decoder_input_ids (B, T), labels (B, T); every label counts; with
    documents separate segments (B, S) and decoder_segments (B, T); those of Features.

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
        special = special_ids(tokenizer.special_ids, tokenizer.vocab_size)
        self.sampler = SpanSampler(
            config.spans, self.shape, config.units, special, config.free_edges, config.longest_span
        )
        self._separate = config.documents == "separate"
        self._features = Features(config, config.input_length) if config.features else None
        self._sentinels = np.array(tokenizer.sentinel_ids[: self.shape.spans], np.int64)
        self._eos, self._start = tokenizer.eos_id, tokenizer.pad_id

    @property
    def raw_length(self) -> int:
        return self.shape.raw_length

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        source, target = (self.shape.input_length,), (self.shape.target_length,)
        shapes: dict[str, tuple[int, ...]] = {
            "input_ids": source,
            "decoder_input_ids": target,
            "labels": target,
        }
        shapes |= {"segments": source, "decoder_segments": target} if self._separate else {}
        return shapes | (self._features.shapes if self._features else {})

    @property
    def needs_annotation(self) -> bool:
        return self.sampler.needs_annotation or self._features is not None

    def annotated(self, schema: Mapping[str, Any]) -> None:
        """See Objective."""
        self.sampler.annotated(schema)
        if self._features:
            self._features.annotated(schema)

    def __call__(
        self, tokens: np.ndarray, keys: np.ndarray, rows: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """See Objective."""
        drawn = self.sampler(tokens, keys, rows)
        batch, (source, target) = len(tokens), (self.shape.input_length, self.shape.target_length)
        arrays = {"input_ids": np.empty((batch, source), np.int64)}
        arrays |= {name: np.empty((batch, target), np.int64) for name in ("decoder_input_ids", "labels")}
        documents = shift = None
        if self._separate:
            documents, shift = document_numbers(tokens, self._eos), np.zeros(batch, np.int64)
            arrays["segments"] = np.empty_like(arrays["input_ids"])
            arrays["decoder_segments"] = np.empty_like(arrays["labels"])
        index = np.empty_like(arrays["input_ids"]) if self._features else None
        masking.lay_out_spans(
            tokens,
            np.zeros((batch, 3), np.int64),
            (drawn.noise, drawn.text, drawn.tail),
            self._sentinels,
            (-1, self._eos, self._start),
            (documents, shift),
            arrays if index is None else arrays | {"index": index},
        )
        if self._features:
            assert rows is not None
            assert index is not None
            arrays |= self._features(rows, index, None)
        return arrays
