"""From the configuration and the sidecars' names to what the unit sampler is told (native/masking.py)."""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import numpy as np

from taixue.base import UserError

from .config import Masking, UnitsConfig
from .native.masking import CLAUSE, CONNECTIVE, ENTITY, IDIOM, TYPE_NAMES, WORD, UnitRules

# Weights are integers to the sampler, so that it has no rounding that could differ from machine to machine.
_UNIT_WEIGHT = 1024
_CLOSING_TAG = "x"  # punctuation and white space
_LAYERS: dict[str, frozenset[int]] = {
    "word": frozenset({WORD}),
    "ngram": frozenset({WORD}),
    "entity": frozenset({WORD, ENTITY, IDIOM}),
    "discourse": frozenset({WORD, CONNECTIVE, CLAUSE}),
    "knowledge": frozenset({WORD, ENTITY, CONNECTIVE, IDIOM, CLAUSE}),
}


def unit_rules(
    config: UnitsConfig,
    masking: Masking,
    schema: Mapping[str, Any],
    ngrams: tuple[float, ...] = (),
    relation: bool = False,
) -> UnitRules:
    """What is drawn by `masking`, not "token". UserError for a unit with a weight that the sidecars know nothing of."""
    weights = {kind: getattr(config.weights, name) for kind, name in enumerate(TYPE_NAMES)}
    layers = _LAYERS[masking]
    weights = {kind: weight if kind in layers else 0.0 for kind, weight in weights.items()}
    if weights[CLAUSE] == 0:
        layers -= {CLAUSE}
    needed = {WORD: "pos", ENTITY: "entity", CONNECTIVE: "relation", CLAUSE: "relation"}
    for kind, column in needed.items():
        if kind in layers and (weights[kind] or kind == WORD):
            require(schema, column, f"objective.units.weights.{TYPE_NAMES[kind]}: {weights[kind]:g}")
    idioms = {name: k for k, name in enumerate(schema["pos"]) if k and name in config.idiom_tags}
    if weights[IDIOM] and not idioms:
        raise UserError(
            f"objective.units.weights.idiom: {weights[IDIOM]:g}, but none of objective.units.idiom_tags "
            f"{', '.join(config.idiom_tags)} is a part of speech of the corpus's annotation; set the weight to 0"
        )
    if relation:
        require(schema, "relation", "objective.relation_labels: true")
        if CONNECTIVE not in layers:
            layers |= {CONNECTIVE}
            weights[CONNECTIVE] = weights[WORD]
    if not any(weights.values()):
        raise UserError("objective.units.weights: all are 0; at least one type of unit must be drawn")
    caps = tuple(getattr(config.caps, name) for name in TYPE_NAMES)
    numbers = tuple(round(weight * _UNIT_WEIGHT) for weight in weights.values())
    return UnitRules(
        weights=numbers,
        caps=caps,
        layers=layers,
        idioms=frozenset(idioms.values()),
        closing=frozenset(k for k, name in enumerate(schema["pos"]) if name == _CLOSING_TAG),
        longest_clause=config.longest_clause,
        pairs=_limit(config.pair_probability),
        ngrams=tuple(_limit(share) for share in accumulate(n / sum(ngrams) for n in ngrams))[:-1],
        relation=relation,
    )


def require(schema: Mapping[str, Any], column: str, why: str) -> None:
    """UserError unless the sidecars have values for a column."""
    if len(schema.get(column, ())) > 1:
        return
    made = {"pos": "words: true", "entity": "names: true or lexicons", "relation": "connectives: true"}[
        column
    ]
    raise UserError(
        f"{why}: the corpus's annotation has none of these labels ({column}); build the corpus with annotate.{made}"
    )


def special_ids(ids: tuple[int, ...], vocabulary: int) -> np.ndarray:
    """uint8 (V,): 1 for ids that are never masked."""
    special = np.zeros(vocabulary, np.uint8)
    special[list(ids)] = 1
    return special


def as_bytes(rows: np.ndarray) -> np.ndarray:
    """Structured rows (B, N) as the sampler reads them, uint8 (B, N, bytes per row)."""
    return np.ascontiguousarray(rows).view(np.uint8).reshape(*rows.shape, rows.dtype.itemsize)


def _limit(probability: float) -> int:
    """A 64-bit number is below it with this probability."""
    return min(int(probability * 2.0**64), 2**64 - 1)
