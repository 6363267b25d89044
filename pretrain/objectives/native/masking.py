"""Hot loops of masking, on windows of tokens: in C++ where the extension was built, else the plain twins.

tokens int32 (B, N); rows uint8 (B, N, bytes per row), the annotation (data_tools/shards/sidecar.py) of each token;
keys uint64 (B,), that of each row's random stream; special uint8 (V,), 1 for ids that are never masked. Row b of a
result depends on row b of the arguments alone. ValueError for a token outside the vocabulary, or arrays
that do not fit together.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from taixue.base import compiled

from .plain import masked_windows as plain_layout
from .plain import span_windows as plain_stretches
from .plain import token_tags as plain_tags
from .plain import unit_spans as plain_spans
from .plain import units as plain_units
from .plain.units import (
    CLAUSE,
    CONNECTIVE,
    ENTITY,
    IDIOM,
    RELATION,
    TYPE_NAMES,
    TYPES,
    WORD,
    UnitRules,
    budget_of,
)

__all__ = [
    "CLAUSE",
    "CONNECTIVE",
    "ENTITY",
    "IDIOM",
    "RELATION",
    "TYPES",
    "TYPE_NAMES",
    "WORD",
    "UnitRules",
    "budget_of",
    "choose_tokens",
    "choose_units",
    "compositions",
    "lay_out_mlm",
    "lay_out_spans",
    "token_features",
    "token_labels",
    "unit_spans",
]


_VERSION = 2  # module.cc says the same


def _compiled() -> ModuleType:
    from .. import _native  # type: ignore[attr-defined]

    return _native


@cache
def loaded() -> ModuleType | None:
    """The C++ module; None: the plain twins do the work."""
    return compiled.load(_compiled, _VERSION)


def choose_tokens(tokens: np.ndarray, keys: np.ndarray, special: np.ndarray, share: float) -> np.ndarray:
    """marks int32 (B, N) of round(share * real) tokens that are not special, at least 1, uniformly at random: 0, or
    (place + 1) << 3 | WORD."""
    extension = loaded()
    if extension is None:
        return plain_units.choose_tokens(tokens, keys, special, share)
    marks: np.ndarray = extension.choose_tokens(tokens, keys, special, share)
    return marks


def choose_units(
    tokens: np.ndarray,
    rows: np.ndarray,
    keys: np.ndarray,
    special: np.ndarray,
    share: float,
    rules: UnitRules,
) -> tuple[np.ndarray, np.ndarray]:
    """(marks int32 (B, N), relations int64 (B,)): whole units, as many tokens as choose_tokens would or a few less.

    marks: 0, or (place of the unit's first token + 1) << 3 | type. relations: class of the connective that was taken
    out, -100 where none was.
    """
    extension = loaded()
    if extension is None:
        return plain_units.choose_units(tokens, rows, keys, special, share, rules)
    marks, relations = extension.choose_units(
        tokens, rows, keys, special, share, _native_rules(extension, rules)
    )
    return marks, relations


def unit_spans(
    tokens: np.ndarray,
    rows: np.ndarray,
    keys: np.ndarray,
    special: np.ndarray,
    noise: int,
    spans: int,
    rules: UnitRules,
) -> tuple[np.ndarray, np.ndarray]:
    """(edges int32 (B, spans, 2), cuts int32 (B,)): ascending [begin, end) of spans with `noise` tokens together, made
    of whole units as far as possible, all -1 where there are none; cuts: units that are partly in a span."""
    extension = loaded()
    if extension is None:
        return plain_spans.unit_spans(tokens, rows, keys, special, noise, spans, rules)
    native_rules = _native_rules(extension, rules)
    edges, cuts = extension.unit_spans(tokens, rows, keys, special, noise, spans, native_rules)
    return edges, cuts


def lay_out_mlm(
    tokens: np.ndarray,
    marks: np.ndarray,
    replacement_keys: np.ndarray,
    order_keys: np.ndarray | None,
    replaced: np.ndarray | None,
    ordinary: np.ndarray,
    ids: Sequence[int],
    per_unit: Collection[int],
    with_index: bool,
) -> dict[str, np.ndarray]:
    """BERT's input from marked windows: int64 input_ids, token_type_ids, labels (B, S), and swapped (B,).

    [CLS] window [SEP]; with order_keys (B,) [CLS] a [SEP] b [SEP], a and b swapped with probability 0.5. ids: [MASK],
    [CLS], [SEP]. ordinary int32: what random tokens are drawn from. per_unit: types whose units share a draw.
    replaced int32 (B, N): taken for marked tokens, in place of a draw. with_index: index (B, S), too, the place of each
    token in its window, -1 for [CLS] and [SEP].
    """
    extension = loaded()
    if extension is None:
        arrays = plain_layout.lay_out_mlm(
            tokens, marks, replacement_keys, order_keys, replaced, ordinary, ids, per_unit
        )
        return arrays if with_index else {name: array for name, array in arrays.items() if name != "index"}
    bits = sum(1 << kind for kind in per_unit)
    made = extension.lay_out_mlm(
        tokens, marks, replacement_keys, order_keys, replaced, ordinary, list(ids), bits, with_index
    )
    names = ("input_ids", "token_type_ids", "labels", "swapped", "index")
    return {name: array for name, array in zip(names, made, strict=True) if array is not None}


def compositions(keys: np.ndarray, total: int, parts: int) -> np.ndarray:
    """int64 (B, parts), each >= 1, rows summing to total <= 2**20: uniform over all compositions."""
    extension = loaded()
    if extension is None:
        return plain_stretches.compositions(keys, total, parts)
    made: np.ndarray = extension.compositions(keys, total, parts)
    return made


def lay_out_spans(
    tokens: np.ndarray,
    begins: np.ndarray,
    spans: tuple[np.ndarray, np.ndarray, np.ndarray],
    sentinels: np.ndarray,
    ids: tuple[int, int, int],
    numbers: tuple[np.ndarray | None, np.ndarray | None],
    out: Mapping[str, np.ndarray],
) -> None:
    """Write into `out` what T5 reads and writes of a stretch of each row of tokens.

    Input: every span replaced by its sentinel, then EOS; before it a mode token, if there is one. Target: every
    sentinel followed by its span, then EOS; what the decoder reads is the target one place later, behind the start
    token at the beginning of each segment. Without sentinels the input is the text, the target the noise.

    begins int64 (B, 3): where the stretch begins in the tokens, in the input, in the target. spans: lengths int64 of
    the noise (B, M), each at least 1, of the text before each (B, M), of the text behind the last (B, 1). sentinels
    int64 (M,), or (0,) for none. ids: of the mode token (-1: none), EOS, start. out: C-contiguous int64 input_ids
    (B, S), labels, decoder_input_ids (B, T), where wanted segments (B, S) with decoder_segments (B, T), and index
    (B, S), the place in the row of tokens, -1 for what is no token. numbers: (documents int64 (B, N), None: one; shift
    int64 (B,), None: no segments); a token's segment is document + shift, a sentinel's that of its span, EOS's that of
    what stands before it, a mode token's that of what stands after it. ValueError when a stretch does not fit.
    """
    names = ("input_ids", "labels", "decoder_input_ids", "segments", "decoder_segments", "index")
    extension = loaded()
    if extension is None:
        plain_stretches.lay_out_spans(tokens, begins, spans, sentinels, ids, numbers, out)
    else:
        extension.lay_out_spans(tokens, begins, *spans, sentinels, *ids, *numbers, *map(out.get, names))


def token_features(
    rows: np.ndarray,
    index: np.ndarray,
    masked: np.ndarray | None,
    hide_tags: bool,
    hide_groups: bool,
    roles: tuple[int, ...] | None,
) -> dict[str, np.ndarray]:
    """pos_ids, word_groups, clause_groups int64 (B, S), and role_ids (B, S, 3) where the columns of roles are given.

    index int64 (B, S): place in the window, -1 for what is no token; there, and where a masked token (uint8 (B, S))
    hides its tags or groups, 0. Groups count from 1.
    """
    extension = loaded()
    if extension is None:
        return plain_tags.token_features(rows, index, masked, hide_tags, hide_groups, roles)
    made = extension.token_features(rows, index, masked, hide_tags, hide_groups, roles)
    names = ("pos_ids", "word_groups", "clause_groups", "role_ids")
    return {name: array for name, array in zip(names, made, strict=True) if array is not None}


def token_labels(
    rows: np.ndarray, index: np.ndarray, masked: np.ndarray | None, only_masked: bool
) -> dict[str, np.ndarray]:
    """pos_labels, ne_labels int64 (B, S): part of speech and entity type of each token, -100 for what is none, for
    tokens of several words and those without one. masked uint8 (B, S): only those count if only_masked; None: none
    does."""
    extension = loaded()
    if extension is None:
        return plain_tags.token_labels(rows, index, masked, only_masked)
    pos, entity = extension.token_labels(rows, index, masked, only_masked)
    return {"pos_labels": pos, "ne_labels": entity}


@lru_cache(maxsize=64)
def _native_rules(extension: ModuleType, rules: UnitRules) -> Any:
    layers = sum(1 << kind for kind in rules.layers)
    return extension.UnitRules(
        rules.weights,
        rules.caps,
        layers,
        sorted(rules.idioms),
        sorted(rules.closing),
        rules.longest_clause,
        rules.pairs,
        rules.ngrams,
        rules.relation,
    )
