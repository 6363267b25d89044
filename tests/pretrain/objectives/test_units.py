"""What knowledge-aware masking promises: budgets, caps, shares by weight, pairs, clauses, and its error messages."""

from typing import Any

import numpy as np
import pytest

from taixue import UserError
from taixue.base import rng
from taixue.data_tools.shards import sidecar
from taixue.pretrain.config.schema import MlmConfig, UnitCaps, UnitsConfig, UnitWeights
from taixue.pretrain.objectives import build_objective
from taixue.pretrain.objectives.mlm import MaskedLanguageModel, max_predictions
from taixue.pretrain.objectives.native import masking
from taixue.pretrain.objectives.unit_rules import unit_rules

from .annotated import SCHEMA, windows
from .fake import fake_bert

MODES = ["word", "ngram", "entity", "discourse", "knowledge"]


def build(**settings: Any) -> MaskedLanguageModel:
    objective = build_objective(MlmConfig(sentence_order=False, **settings), fake_bert(1000))
    assert isinstance(objective, MaskedLanguageModel)
    objective.annotated(SCHEMA)
    return objective


def batch(
    objective: MaskedLanguageModel, count: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tokens, rows = windows(count, objective.raw_length, seed, vocabulary=999)
    return tokens, rng.derive(np.uint64(seed), np.arange(count)), rows


def pieces(rows: np.ndarray, column: str, bit: int) -> tuple[np.ndarray, np.ndarray]:
    """(row, place) of the first token of each entity or connective of a batch."""
    first: tuple[np.ndarray, ...] = np.nonzero(((rows["flags"] & bit) != 0) & (rows[column] > 0))
    return first[0], first[1]


@pytest.mark.parametrize("mode", MODES)
def test_budget_and_whole_units(mode: str) -> None:
    """The budget is met to 0.5 %, never passed; nothing special is masked; words are masked wholly or not at all."""
    objective = build(masking=mode)
    tokens, keys, rows = batch(objective, 2000)
    chosen = objective.choose(tokens, keys, rows)[0] > 0
    real = (tokens != 3).sum(axis=1)
    budget = np.rint(real * 0.15)
    assert budget.max() <= max_predictions(MlmConfig(sentence_order=False, masking=mode))
    assert (chosen.sum(axis=1) <= budget).all()
    assert chosen.sum() >= 0.995 * budget.sum()
    assert not chosen[tokens == 3].any()
    word = np.cumsum((rows["flags"] & sidecar.UNIT) != 0, axis=1)
    inside = word[:, 1:] == word[:, :-1]
    cut = inside & (chosen[:, 1:] != chosen[:, :-1])
    # The first and the last word of a window may be cut by the window's edge, and a clause may lie over chosen words.
    assert not cut[:, 4:-4].any()


def test_shares_follow_weights_and_caps() -> None:
    """With equal weights every type is drawn alike; heavier ones more often; caps bind."""
    equal = UnitWeights(word=1, entity=1, connective=1, idiom=1, clause=0)
    shares = {}
    for name, weights, cap in (
        ("equal", equal, 1.0),
        ("heavy", equal.model_copy(update={"entity": 5.0}), 1.0),
    ):
        units = UnitsConfig(weights=weights, caps=UnitCaps(entity=cap), pair_probability=0.0)
        objective = build(masking="knowledge", units=units)
        tokens, keys, rows = batch(objective, 2000)
        chosen = objective.choose(tokens, keys, rows)[0] > 0
        shares[name] = {
            "entity": chosen[rows["entity"] > 0].mean(),
            "connective": chosen[rows["connective"] > 0].mean(),
            "idiom": chosen[rows["pos"] == 3].mean(),
        }
    for value in shares["equal"].values():
        assert abs(value - 0.15) < 0.01
    assert shares["heavy"]["entity"] > 0.4
    units = UnitsConfig(weights=UnitWeights(entity=50.0), caps=UnitCaps(entity=0.3))
    objective = build(masking="entity", units=units)
    tokens, keys, rows = batch(objective, 500)
    chosen = objective.choose(tokens, keys, rows)[0] > 0
    part = (chosen & (rows["entity"] > 0)).sum(axis=1) / chosen.sum(axis=1)
    assert part.max() <= 0.3
    assert part.mean() > 0.25


def test_weights_are_those_of_sampling_without_replacement() -> None:
    """One draw of units of weights 3 and 1: the heavy ones come 3 times as often."""
    rows = np.zeros((1, 4), sidecar.row_dtype(SCHEMA))
    rows["flags"], rows["pos"], rows["entity"] = sidecar.UNIT | sidecar.ENTITY, 1, [1, 0, 0, 0]
    count = 40_000
    rules = unit_rules(UnitsConfig(caps=UnitCaps(entity=1.0)), "entity", SCHEMA)
    tokens = np.tile(np.arange(5, 9, dtype=np.int32), (count, 1))
    bytes_ = np.tile(rows.view(np.uint8).reshape(1, 4, -1), (count, 1, 1))
    keys = rng.derive(np.uint64(3), np.arange(count))
    marks, _ = masking.choose_units(tokens, bytes_, keys, np.zeros(10, np.uint8), 0.25, rules)
    np.testing.assert_allclose((marks > 0).mean(axis=0), [0.5, 1 / 6, 1 / 6, 1 / 6], atol=0.01)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_pairs_go_together(probability: float) -> None:
    weights = UnitWeights(word=1, entity=0, connective=1, idiom=0, clause=0)
    objective = build(masking="discourse", units=UnitsConfig(weights=weights, pair_probability=probability))
    tokens, keys, rows = batch(objective, 300)
    chosen = objective.choose(tokens, keys, rows)[0] > 0
    together = alone = 0
    for row in range(len(tokens)):
        flags = rows["flags"][row]
        seconds = np.flatnonzero(flags & sidecar.PAIR_SECOND)
        for first in np.flatnonzero(flags & sidecar.PAIR_FIRST).tolist():
            second = seconds[seconds > first]
            if len(second) and (chosen[row, first] or chosen[row, second[0]]):
                together += int(chosen[row, first] and chosen[row, second[0]])
                alone += int(chosen[row, first] != chosen[row, second[0]])
    share = together / (together + alone)
    assert share > 0.9 if probability else share < 0.2


def test_clauses_follow_connectives_and_are_short() -> None:
    weights = UnitWeights(word=0.01, entity=0, connective=0, idiom=0, clause=50)
    objective = build(masking="discourse", units=UnitsConfig(weights=weights, caps=UnitCaps(clause=1.0)))
    tokens, keys, rows = batch(objective, 200)
    marks = objective.choose(tokens, keys, rows)[0]
    found = 0
    for row, value in {
        (int(r), int(marks[r, c])) for r, c in zip(*np.nonzero((marks & 7) == masking.CLAUSE), strict=True)
    }:
        places = np.flatnonzero(marks[row] == value)
        found += 1
        assert rows["connective"][row, (value >> 3) - 2] > 0
        assert 0 < len(places) <= 16
        assert not (rows["flags"][row, places] & sidecar.CLAUSE).any()
        assert rows["pos"][row, places[-1]] != 4
    assert found > 200


def test_ngrams_have_their_frequencies() -> None:
    """Runs of words that were drawn together: the longer the rarer, up to four."""
    objective = build(masking="ngram", mask_probability=0.01, ngrams=(1.0, 1.0))
    tokens, keys, rows = batch(objective, 3000)
    marks = objective.choose(tokens, keys, rows)[0]
    starts = (marks > 0) & ((marks >> 3) - 1 == np.arange(marks.shape[1]))
    assert 1.2 < starts.sum(axis=1).mean() < 4


def test_relations_take_a_connective_out() -> None:
    objective = build(masking="word", relation_labels=True, tag_labels=True)
    assert objective.loss_names == ("mlm", "pos", "ne", "relation")
    tokens, keys, rows = batch(objective, 300)
    arrays = objective(tokens, keys, rows)
    assert {name: array.shape[1:] for name, array in arrays.items()} == objective.shapes
    has = (rows["connective"] > 0).any(axis=1)
    assert ((arrays["relation_labels"] > 0) == has).all()
    inner = arrays["input_ids"][:, 1:-1]
    for row in np.flatnonzero(has):
        hidden = (rows["connective"][row] == arrays["relation_labels"][row]) & (inner[row] == 4)
        assert hidden.any()
    labels = arrays["pos_labels"][:, 1:-1]
    assert (labels[tokens == 3] == -100).all()
    assert (labels[tokens != 3] == rows["pos"][tokens != 3]).all()


def test_units_share_their_draw() -> None:
    objective = build(masking="entity", replacement="unit")
    tokens, keys, rows = batch(objective, 300)
    marks = objective.choose(tokens, keys, rows)[0]
    inner = objective(tokens, keys, rows)["input_ids"][:, 1:-1]
    together = (marks[:, 1:] == marks[:, :-1]) & (marks[:, 1:] > 0)
    masked = inner == 4
    assert (masked[:, 1:] == masked[:, :-1])[together].all()
    mixed = build(masking="entity", replacement="token")(tokens, keys, rows)["input_ids"][:, 1:-1] == 4
    assert (mixed[:, 1:] != mixed[:, :-1])[together].any()


def test_a_mixture_has_its_shares() -> None:
    mixture = build(masking={"token": 1.0, "entity": 3.0})
    tokens, keys, rows = batch(mixture, 1000)
    marks = mixture.choose(tokens, keys, rows)[0]
    plain = build(masking="token").choose(tokens, keys, None)[0]
    entity = build(masking="entity").choose(tokens, keys, rows)[0]
    from_token = (marks == plain).all(axis=1)
    assert ((marks == entity).all(axis=1) | from_token).all()
    assert abs(from_token.mean() - 0.25) < 0.05


def test_features_hide_what_is_masked() -> None:
    objective = build(masking="word", features=True)
    tokens, keys, rows = batch(objective, 20)
    arrays = objective(tokens, keys, rows)
    assert {name: array.shape[1:] for name, array in arrays.items()} == objective.shapes
    masked = arrays["labels"] != -100
    assert (arrays["pos_ids"][masked] == 0).all()
    pos = np.pad(rows["pos"], ((0, 0), (1, 1)))
    assert (arrays["pos_ids"] == np.where(masked, 0, pos)).all()
    groups = arrays["word_groups"]
    assert (groups[:, [0, -1]] == 0).all()
    same = groups[:, 2:-1] == groups[:, 1:-2]
    assert (same == ((rows["flags"][:, 1:] & sidecar.UNIT) == 0)).all()
    shown = build(masking="word", features=True, hide_masked_tags=False, hide_masked_groups=True)(
        tokens, keys, rows
    )
    assert (shown["pos_ids"] == pos).all()
    assert (shown["word_groups"][masked] == 0).all()


@pytest.mark.parametrize(
    ("change", "masking_mode", "message"),
    [
        ({"pos": [""]}, "word", r"labels \(pos\); build the corpus with annotate.words: true"),
        (
            {"entity": [""]},
            "entity",
            r"weights.entity: 3: .* \(entity\); .* annotate.names: true or lexicons",
        ),
        ({"relation": [""]}, "discourse", r"weights.connective: 3: .* annotate.connectives: true"),
        ({"pos": ["", "n"]}, "entity", r"none of objective.units.idiom_tags i is a part of speech"),
    ],
)
def test_labels_that_the_annotation_lacks(change: dict[str, Any], masking_mode: Any, message: str) -> None:
    objective = build_objective(MlmConfig(masking=masking_mode), fake_bert(1000))
    with pytest.raises(UserError, match=message):
        objective.annotated(SCHEMA | change)


def test_all_weights_zero() -> None:
    weights = UnitWeights(word=0, entity=0, connective=0, idiom=0, clause=0)
    with pytest.raises(UserError, match="at least one type of unit must be drawn"):
        unit_rules(UnitsConfig(weights=weights), "knowledge", SCHEMA)
