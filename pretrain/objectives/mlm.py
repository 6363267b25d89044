"""BERT's masked-language modelling (Devlin et al. 2019) of tokens, words, entities and discourse units, with ALBERT's
sentence-order prediction as an option.

Of a window's real tokens (document ends are not), round(mask_probability * real), at least 1, are chosen: uniformly, or
as whole units (plain/units.py: words, MacBERT's n-grams, ERNIE's entities, connectives and the clauses behind them); a
few less where no unit fits in what is left. A chosen token becomes [MASK] with probability 0.8, a random ordinary token
with 0.1, and stays with 0.1, each on its own or all of a unit alike. Sentence order: the window is cut into two
segments that each have at least a quarter of it, and these are swapped with probability 0.5: [CLS] a [SEP] b [SEP].
Without it: [CLS] window [SEP].
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from taixue.base import UserError, rng
from taixue.data_tools.tokenizer.base import Tokenizer

from .base import IGNORED
from .config import MlmConfig
from .native import masking
from .similar import SimilarWords
from .tags import Features, document_numbers, tag_labels
from .unit_rules import as_bytes, require, special_ids, unit_rules

CHOICE_STREAM, REPLACEMENT_STREAM, ORDER_STREAM, UNIT_STREAM, MODE_STREAM = 1, 2, 3, 4, 5
_MODES = 1 << 20  # shares of a mixture are counted in this


def _raw_length(config: MlmConfig) -> int:
    return config.input_length - (3 if config.sentence_order else 2)


def max_predictions(config: MlmConfig) -> int:
    """Most labels of a sample: the budget of a window of real tokens only, which is never exceeded, by no mode."""
    return masking.budget_of(_raw_length(config), config.mask_probability)


class MaskedLanguageModel:
    """The objective. Arrays: input_ids, token_type_ids, labels (B, S), labels -100 where nothing is
    predicted; with sentence order also sop_labels (B,): 0 in order, 1 swapped; with documents separate segments (B, S);
    those of Features; pos_labels, ne_labels (B, S) and relation_labels (B,) for the heads, numbered as in the
    sidecars, -100 where nothing is predicted."""

    def __init__(self, config: MlmConfig, tokenizer: Tokenizer) -> None:
        if tokenizer.kind != "bert":
            raise UserError(f"objective mlm needs a bert tokenizer; this one is {tokenizer.kind}")
        self._config = config
        self.raw_length = _raw_length(config)
        if self.raw_length < 4:
            raise UserError(f"objective.input_length {config.input_length} is too short; at least 7")
        self._special = special_ids(tokenizer.special_ids, tokenizer.vocab_size)
        self._ordinary = np.flatnonzero(self._special == 0).astype(np.int32)
        self._ids = tokenizer.mask_id, tokenizer.cls_id, tokenizer.sep_id
        modes = {config.masking: 1.0} if isinstance(config.masking, str) else dict(config.masking)
        self._modes = tuple(modes)
        total = sum(modes.values())
        self._limits = np.rint(np.cumsum(list(modes.values())) / total * _MODES).astype(np.int64)
        self._rules: dict[str, masking.UnitRules] = {}
        self._features = Features(config, config.input_length) if config.features else None
        self._similar = (
            SimilarWords(config.similar_words, tokenizer, self._ordinary) if config.similar_words else None
        )
        whole = set(masking.TYPES) - {masking.WORD}
        self._per_unit = {"auto": whole, "token": set[int](), "unit": set(masking.TYPES)}[config.replacement]

    @property
    def loss_names(self) -> tuple[str, ...]:
        config = self._config
        heads = {"sop": config.sentence_order, "pos": config.tag_labels, "ne": config.tag_labels}
        heads["relation"] = config.relation_labels
        return ("mlm", *(name for name, wanted in heads.items() if wanted))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        config, length = self._config, (self._config.input_length,)
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("input_ids", "token_type_ids", "labels"), length)
        shapes |= {"sop_labels": ()} if config.sentence_order else {}
        shapes |= {"segments": length} if config.documents == "separate" else {}
        shapes |= self._features.shapes if self._features else {}
        shapes |= {"pos_labels": length, "ne_labels": length} if config.tag_labels else {}
        return shapes | ({"relation_labels": ()} if config.relation_labels else {})

    @property
    def needs_annotation(self) -> bool:
        config = self._config
        asks = config.features or config.tag_labels or config.relation_labels
        return self._modes != ("token",) or bool(asks)

    def annotated(self, schema: Mapping[str, Any]) -> None:
        """See Objective."""
        config = self._config
        if self._features:
            self._features.annotated(schema)
        if config.tag_labels:
            require(schema, "pos", "objective.tag_labels: true")
            require(schema, "entity", "objective.tag_labels: true")
        for mode in self._modes:
            if mode != "token":
                ngrams = config.ngrams if mode == "ngram" else ()
                self._rules[mode] = unit_rules(
                    config.units, mode, schema, ngrams, bool(config.relation_labels)
                )

    def __call__(
        self, tokens: np.ndarray, keys: np.ndarray, rows: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """See Objective."""
        config = self._config
        marks, relations = self.choose(tokens, keys, rows)
        replacement = rng.derive(keys, REPLACEMENT_STREAM)
        made = masking.lay_out_mlm(
            tokens,
            marks,
            replacement,
            rng.derive(keys, ORDER_STREAM) if config.sentence_order else None,
            self._similar(tokens, marks, replacement) if self._similar else None,
            self._ordinary,
            self._ids,
            self._per_unit,
            with_index=bool(config.features or config.tag_labels),
        )
        arrays = {name: made[name] for name in ("input_ids", "token_type_ids", "labels")}
        if config.sentence_order:
            arrays["sop_labels"] = made["swapped"]
        if config.documents == "separate":
            documents = document_numbers(tokens, self._ids[2])
            arrays["segments"] = np.hstack((documents[:, :1], documents, documents[:, -1:]))
        if rows is not None and "index" in made:
            masked = made["labels"] != IGNORED
            if self._features:
                arrays |= self._features(rows, made["index"], masked)
            if config.tag_labels:
                arrays |= tag_labels(config, rows, made["index"], masked)
        if config.relation_labels:
            arrays["relation_labels"] = relations
        return arrays

    def choose(
        self, tokens: np.ndarray, keys: np.ndarray, rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(marks int32 (B, N), relations int64 (B,)) as masking.choose_units gives them: the tokens to predict."""
        if len(self._modes) == 1:
            return self._choose(self._modes[0], tokens, keys, rows)
        number = rng.below(rng.draw(keys, MODE_STREAM, 1)[:, 0], _MODES)
        chosen = np.searchsorted(self._limits, number, side="right")
        marks, relations = np.zeros(tokens.shape, np.int32), np.full(len(tokens), IGNORED)
        for place, mode in enumerate(self._modes):
            mine = np.flatnonzero(chosen == place)
            if len(mine):
                some_rows = None if rows is None else rows[mine]
                marks[mine], relations[mine] = self._choose(mode, tokens[mine], keys[mine], some_rows)
        return marks, relations

    def _choose(
        self, mode: str, tokens: np.ndarray, keys: np.ndarray, rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        share = self._config.mask_probability
        if mode == "token":
            marks = masking.choose_tokens(tokens, rng.derive(keys, CHOICE_STREAM), self._special, share)
            return marks, np.full(len(tokens), IGNORED)
        assert rows is not None
        stream = rng.derive(keys, UNIT_STREAM)
        return masking.choose_units(tokens, as_bytes(rows), stream, self._special, share, self._rules[mode])
