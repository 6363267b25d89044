"""BERT's masked-language modelling (Devlin et al. 2019), with ALBERT's sentence-order prediction as an
option.

Of a window's real tokens (document ends are not), round(mask_probability * real), at least 1, are chosen
uniformly. A chosen token becomes [MASK] with probability 0.8, a random ordinary token with 0.1, and stays
with 0.1. Sentence order: the window is cut into two segments that each have at least a quarter of it, and
these are swapped with probability 0.5: [CLS] a [SEP] b [SEP]. Without it: [CLS] window [SEP].
"""

import numpy as np

from taixue import UserError
from taixue.data_tools.tokenizer_base import Tokenizer

from ..config.schema import MlmConfig
from . import rng
from .base import IGNORED

CHOICE_STREAM, REPLACEMENT_STREAM, ORDER_STREAM = 1, 2, 3
_NEVER = np.uint64(2**64 - 1)


class MaskedLanguageModel:
    """The objective. Arrays: input_ids, token_type_ids, labels (B, S), labels -100 where nothing is
    predicted; with sentence order also sop_labels (B,): 0 in order, 1 swapped."""

    def __init__(self, config: MlmConfig, tokenizer: Tokenizer) -> None:
        if tokenizer.kind != "bert":
            raise UserError(f"objective mlm needs a bert tokenizer; this one is {tokenizer.kind}")
        self._config = config
        self.raw_length = config.input_length - (3 if config.sentence_order else 2)
        if self.raw_length < 4:
            raise UserError(f"objective.input_length {config.input_length} is too short; at least 7")
        self._special = np.zeros(tokenizer.vocab_size, bool)
        self._special[list(tokenizer.special_ids)] = True
        self._ordinary = np.flatnonzero(~self._special)
        self._mask, self._cls, self._sep = tokenizer.mask_id, tokenizer.cls_id, tokenizer.sep_id

    @property
    def loss_names(self) -> tuple[str, ...]:
        return ("mlm", "sop") if self._config.sentence_order else ("mlm",)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        length: tuple[int, ...] = (self._config.input_length,)
        shapes = {"input_ids": length, "token_type_ids": length, "labels": length}
        return shapes | ({"sop_labels": ()} if self._config.sentence_order else {})

    def __call__(self, tokens: np.ndarray, keys: np.ndarray) -> dict[str, np.ndarray]:
        """See Objective."""
        chosen = self._choose(tokens, keys)
        corrupted = self._corrupt(tokens, keys, chosen)
        labels = np.where(chosen, tokens, IGNORED)
        batch, window = tokens.shape
        if not self._config.sentence_order:
            return {
                "input_ids": np.pad(
                    corrupted, ((0, 0), (1, 1)), constant_values=((0, 0), (self._cls, self._sep))
                ),
                "token_type_ids": np.zeros((batch, window + 2), np.int64),
                "labels": np.pad(labels, ((0, 0), (1, 1)), constant_values=IGNORED).astype(np.int64),
            }
        index, types, swapped = self._arrange(keys, window)
        ends = np.tile(np.array([self._cls, self._sep]), (batch, 1))
        nothing = np.full((batch, 2), IGNORED)
        return {
            "input_ids": np.take_along_axis(np.concatenate([corrupted, ends], axis=1), index, axis=1),
            "token_type_ids": types,
            "labels": np.take_along_axis(np.concatenate([labels, nothing], axis=1), index, axis=1),
            "sop_labels": swapped.astype(np.int64),
        }

    def _choose(self, tokens: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """bool (B, window): the tokens to predict."""
        special = self._special[tokens]
        real = tokens.shape[1] - special.sum(axis=1)
        budget = np.minimum(
            np.maximum(np.rint(real * self._config.mask_probability).astype(np.int64), 1), real
        )
        ranked = rng.order_keys(keys, CHOICE_STREAM, tokens.shape[1])
        ranked[special] = _NEVER
        largest = int(budget.max(initial=1))
        smallest = np.sort(np.partition(ranked, largest - 1, axis=1)[:, :largest], axis=1)
        last = np.take_along_axis(smallest, np.maximum(budget - 1, 0)[:, None], axis=1)
        return (ranked <= last) & ~special

    def _corrupt(self, tokens: np.ndarray, keys: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """int64 (B, window): the tokens with the chosen ones replaced 80 / 10 / 10."""
        corrupted = tokens.astype(np.int64)
        rows, columns = np.nonzero(chosen)
        numbers = rng.draw_at(rng.derive(keys, REPLACEMENT_STREAM)[rows], columns)
        action = rng.below(numbers, 10)
        random = self._ordinary[rng.below(rng.high(numbers), len(self._ordinary))]
        old = corrupted[rows, columns]
        corrupted[rows, columns] = np.where(action < 8, self._mask, np.where(action == 8, random, old))
        return corrupted

    def _arrange(self, keys: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns (B, S) of [window | CLS | SEP] in the model's order, token types (B, S), swapped (B,)."""
        numbers = rng.draw(keys, ORDER_STREAM, 1)
        quarter = window // 4
        cut = quarter + rng.below(numbers, window - 2 * quarter + 1)
        swapped = rng.below(rng.high(numbers), 2) == 1
        first = np.where(swapped, window - cut, cut)
        place = np.arange(window + 3)
        is_second = place >= first + 2
        # Place 1 holds the first token of segment a; behind its [SEP], b starts.
        start_a, start_b = np.where(swapped, cut, 0), np.where(swapped, 0, cut)
        index = np.where(is_second, place - first - 2 + start_b, place - 1 + start_a)
        index[:, 0] = window
        index[:, -1] = window + 1
        np.put_along_axis(index, first + 1, window + 1, axis=1)
        return index, is_second.astype(np.int64), swapped[:, 0]
