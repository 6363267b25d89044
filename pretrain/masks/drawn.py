"""Which tokens an objective masks, in which spans; and what others would mask of the same text."""

from collections.abc import Callable, Sequence

import numpy as np

from taixue.base import rng
from taixue.data_tools.shards import sidecar
from taixue.data_tools.tokenizer.base import Tokenizer

from ..config.schema import UnitsConfig
from ..objectives import Objective
from ..objectives.denoisers import Denoisers
from ..objectives.mlm import MaskedLanguageModel
from ..objectives.native import masking
from ..objectives.native.masking import UnitRules
from ..objectives.span import SpanCorruption
from ..objectives.spans import SpanSampler, SpanShape
from ..objectives.unit_rules import special_ids

# tokens (B, N), keys (B,), rows (B, N) or None -> span numbers (B, N), 0 for none; windows without spans of units
Masker = Callable[[np.ndarray, np.ndarray, np.ndarray | None], tuple[np.ndarray, int]]
_RIVAL_STREAM = 8
T5_SPANS, TOKENS, PIECES = "T5's random spans", "single tokens", "## rule"


def masker(objective: Objective) -> Masker:
    """What the objective masks."""

    def draw(tokens: np.ndarray, keys: np.ndarray, rows: np.ndarray | None) -> tuple[np.ndarray, int]:
        if isinstance(objective, MaskedLanguageModel):
            return runs(objective.choose(tokens, keys, rows)[0] > 0), 0
        if isinstance(objective, SpanCorruption):
            drawn = objective.sampler(tokens, keys, rows)
            return drawn.numbers(), int(drawn.fell_back.sum())
        assert isinstance(objective, Denoisers)
        numbers, parts = objective.numbers(tokens, keys, rows)
        return numbers, sum(int(part.fell_back.sum()) for part in parts)

    return draw


def rivals(length: int, tokenizer: Tokenizer, share: float) -> dict[str, Masker]:
    """Plain T5, BERT's single tokens, and whole words by the ## rule (a piece that begins with ## continues the word;
    Chinese characters never do), each with `share` of windows of `length` tokens."""
    special = special_ids(tokenizer.special_ids, tokenizer.vocab_size)
    shape = SpanShape.of_window(length, share, 3.0)
    sampler = SpanSampler("random", shape, UnitsConfig(), special)
    pieces = tokenizer.pieces(range(tokenizer.vocab_size))
    continues = np.array([piece.startswith("##") for piece in pieces])
    words = UnitRules((1, 0, 0, 0, 0), layers=frozenset())

    def by_pieces(tokens: np.ndarray, keys: np.ndarray, _: np.ndarray | None) -> tuple[np.ndarray, int]:
        rows = np.zeros((*tokens.shape, 4), np.uint8)
        rows[..., 0] = np.where(continues[tokens], 0, sidecar.UNIT)
        stream = rng.derive(keys, _RIVAL_STREAM)
        return runs(masking.choose_units(tokens, rows, stream, special, share, words)[0] > 0), 0

    def by_tokens(tokens: np.ndarray, keys: np.ndarray, _: np.ndarray | None) -> tuple[np.ndarray, int]:
        stream = rng.derive(keys, _RIVAL_STREAM)
        return runs(masking.choose_tokens(tokens, stream, special, share) > 0), 0

    return {
        T5_SPANS: lambda tokens, keys, rows: (sampler(tokens, keys, rows).numbers(), 0),
        TOKENS: by_tokens,
        PIECES: by_pieces,
    }


def packing(objective: Objective, lengths: Sequence[int]) -> dict[str, float]:
    """Share of a sample's positions that hold text, noise or their sentinels; and what one document of the corpus per
    sample, padded, would fill (lengths: tokens of documents)."""
    shapes = objective.shapes
    size = shapes["input_ids"][0]
    padding = objective.padding if isinstance(objective, Denoisers) else 0
    window = objective.raw_length
    held = np.minimum(np.array(lengths, np.int64), window)
    alone = float(held.sum() / (len(held) * window)) if len(held) else 0.0
    return {"filled": (size - padding) / size, "one_document_a_window": alone}


def runs(masked: np.ndarray) -> np.ndarray:
    """int64 (B, N): numbers of the runs of masked tokens in each row, from 1; 0 elsewhere."""
    starts = masked.copy()
    starts[:, 1:] &= ~masked[:, :-1]
    return np.where(masked, np.cumsum(starts, axis=1), 0)
