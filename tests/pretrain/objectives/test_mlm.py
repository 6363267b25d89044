"""Masked-language modelling: the plain twin, exact budgets, 80 / 10 / 10, rows on their own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.base import rng
from taixue.pretrain.config.schema import MlmConfig
from taixue.pretrain.objectives import build_objective
from taixue.pretrain.objectives.mlm import max_predictions

from . import plain
from .fake import fake_bert, fake_t5


@given(
    length=st.integers(7, 120),
    probability=st.floats(0.01, 0.9),
    ends=st.floats(0, 1),
    sentence_order=st.booleans(),
    keys=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4),
)
@settings(max_examples=200, deadline=None)
def test_equals_the_plain_twin(
    length: int, probability: float, ends: float, sentence_order: bool, keys: list[int]
) -> None:
    """ends: part of the window that is document ends, up to all of it."""
    tokenizer = fake_bert()
    config = MlmConfig(input_length=length, mask_probability=probability, sentence_order=sentence_order)
    objective = build_objective(config, tokenizer)
    array = np.array(keys, np.uint64)
    tokens = rng.below(rng.draw(array, 98, objective.raw_length), 194).astype(np.int32) + 5
    tokens[rng.below(rng.draw(array, 99, objective.raw_length), 1000) < 1000 * ends] = tokenizer.sep_id
    arrays = objective(tokens, array)
    most = max_predictions(config)
    assert (arrays["labels"] != -100).sum(1).max() <= most <= objective.raw_length
    assert {name: value.shape[1:] for name, value in arrays.items()} == objective.shapes
    assert all(value.dtype == np.int64 for value in arrays.values())
    for row, key in enumerate(keys):
        expected = plain.masked(
            tokens[row].tolist(),
            key,
            probability,
            special=set(tokenizer.special_ids),
            vocab_size=200,
            mask=4,
            cls=2,
            sep=3,
            sentence_order=sentence_order,
        )
        assert {name: value[row].tolist() for name, value in arrays.items()} == expected


def test_budgets_and_replacements() -> None:
    """Exactly 15 % are predicted; 80 % of them masked, 10 % random and never special, 10 % kept."""
    objective = build_objective(MlmConfig(), fake_bert())
    assert objective.loss_names == ("mlm", "sop")
    keys = rng.derive(np.uint64(1), np.arange(500))
    tokens = rng.below(rng.draw(keys, 99, 509), 194).astype(np.int32) + 5
    arrays = objective(tokens, keys)
    predicted = arrays["labels"] != -100
    assert (predicted.sum(axis=1) == round(0.15 * 509)).all()
    assert max_predictions(MlmConfig()) == round(0.15 * 509)
    now, truth = arrays["input_ids"][predicted], arrays["labels"][predicted]
    masked, kept = (now == 4).mean(), (now == truth).mean()
    random = now[(now != 4) & (now != truth)]
    assert abs(masked - 0.8) < 0.01
    assert abs(kept - 0.1) < 0.01
    assert abs(len(random) / len(now) - 0.1) < 0.01
    assert random.min() >= 5
    assert random.max() <= 198  # 199 is [unused1]
    assert abs(arrays["sop_labels"].mean() - 0.5) < 0.1
    unpredicted = ~predicted
    original = arrays["input_ids"][unpredicted]
    assert ((original == 2).sum(), (original == 3).sum()) == (500, 1000)


def test_segments_restore_the_window() -> None:
    objective = build_objective(MlmConfig(input_length=64), fake_bert())
    keys = rng.derive(np.uint64(1), np.arange(100))
    tokens = np.tile(np.arange(10, 71, dtype=np.int32), (100, 1))
    arrays = objective(tokens, keys)
    truth = np.where(arrays["labels"] == -100, arrays["input_ids"], arrays["labels"])
    for row, types, swapped in zip(truth, arrays["token_type_ids"], arrays["sop_labels"], strict=True):
        cut = int((types == 0).sum())
        first, second = row[1 : cut - 1].tolist(), row[cut:-1].tolist()
        assert (row[0], row[cut - 1], row[-1]) == (2, 3, 3)
        assert min(len(first), len(second)) >= 61 // 4
        assert (second + first if swapped else first + second) == tokens[0].tolist()


@pytest.mark.parametrize("sentence_order", [True, False])
def test_a_row_does_not_depend_on_its_batch(sentence_order: bool) -> None:
    objective = build_objective(MlmConfig(input_length=64, sentence_order=sentence_order), fake_bert())
    keys = rng.derive(np.uint64(1), np.arange(32))
    tokens = rng.below(rng.draw(keys, 99, objective.raw_length), 197).astype(np.int32) + 3
    whole = objective(tokens, keys)
    order = np.random.default_rng(0).permutation(32)[:7]
    for name, value in objective(tokens[order], keys[order]).items():
        np.testing.assert_array_equal(value, whole[name][order])


def test_impossible_configurations() -> None:
    with pytest.raises(UserError, match=r"input_length 6 is too short; at least 7"):
        build_objective(MlmConfig(input_length=6), fake_bert())
    with pytest.raises(UserError, match="needs a bert tokenizer; this one is t5"):
        build_objective(MlmConfig(), fake_t5())
