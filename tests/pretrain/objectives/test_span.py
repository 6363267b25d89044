"""Span corruption: published shapes, the plain twin, nothing lost, rows on their own."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.base import rng
from taixue.pretrain.config.schema import SpanCorruptionConfig
from taixue.pretrain.objectives import build_objective
from taixue.pretrain.objectives.span import SpanCorruption, SpanShape

from . import plain
from .fake import fake_bert, fake_t5


@pytest.mark.parametrize(
    ("length", "density", "mean", "raw", "target"),
    [
        (512, 0.15, 3, 568, 114),  # T5's own configuration
        (512, 0.15, 8, 588, 100),
        (512, 0.5, 3, 767, 513),
        (512, 0.5, 8, 908, 512),
        (512, 0.15, 64, 600, 92),
        (512, 0.5, 64, 1007, 513),
        (1024, 0.15, 3, 1137, 229),
    ],
)
def test_shapes_are_t5s(length: int, density: float, mean: float, raw: int, target: int) -> None:
    """With EOS counted on both sides, as random_spans_helper does."""
    shape = SpanShape.of_input(length, density, mean)
    assert (shape.raw_length, shape.input_length, shape.target_length) == (raw, length, target)


def _build(length: int, density: float = 0.15, mean: float = 3.0, free_edges: bool = False) -> SpanCorruption:
    config = SpanCorruptionConfig(
        input_length=length, noise_density=density, mean_span_length=mean, free_edges=free_edges
    )
    objective = build_objective(config, fake_t5(500, 2000))
    assert isinstance(objective, SpanCorruption)
    return objective


configs: dict[str, Any] = {
    "length": st.integers(4, 200),
    "density": st.floats(0.05, 0.45),
    "mean": st.floats(1.0, 10.0),
    "free_edges": st.booleans(),
    "keys": st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4),
}


@given(**configs)
@settings(max_examples=200, deadline=None)
def test_equals_the_plain_twin(
    length: int, density: float, mean: float, free_edges: bool, keys: list[int]
) -> None:
    tokenizer = fake_t5(500, 2000)
    objective = _build(length, density, mean, free_edges)
    shape = objective.shape
    tokens = rng.below(rng.draw(np.array(keys, np.uint64), 99, shape.raw_length), 1400).astype(np.int32) + 3
    arrays = objective(tokens, np.array(keys, np.uint64))
    assert {name: value.shape[1:] for name, value in arrays.items()} == objective.shapes
    assert all(value.dtype == np.int64 for value in arrays.values())
    for row, key in enumerate(keys):
        expected = plain.span_corruption(
            tokens[row].tolist(),
            key,
            shape.noise_tokens,
            shape.spans,
            tokenizer.sentinel_ids,
            1,
            0,
            free_edges,
        )
        assert {name: value[row].tolist() for name, value in arrays.items()} == expected


@given(**configs)
@settings(max_examples=50, deadline=None)
def test_input_and_target_together_are_the_original(
    length: int, density: float, mean: float, free_edges: bool, keys: list[int]
) -> None:
    objective = _build(length, density, mean, free_edges)
    shape, sentinels = objective.shape, fake_t5(500, 2000).sentinel_ids
    tokens = np.tile(np.arange(3, 3 + shape.raw_length, dtype=np.int32), (len(keys), 1))
    arrays = objective(tokens, np.array(keys, np.uint64))
    for row in range(len(keys)):
        source, labels = arrays["input_ids"][row].tolist(), arrays["labels"][row].tolist()
        assert [token for token in source if token in sentinels] == list(sentinels[: shape.spans])
        assert [token for token in labels if token in sentinels] == list(sentinels[: shape.spans])
        assert (source.pop(), labels.pop()) == (1, 1)
        spans: dict[int, list[int]] = {}
        for token in labels:
            if token in sentinels:
                current = spans.setdefault(token, [])
            else:
                current.append(token)
        assert all(spans.values())
        assert free_edges or (source[0] not in sentinels and source[-1] in sentinels)
        restored = [token for part in source for token in spans.get(part, [part])]
        assert restored == tokens[row].tolist()


def test_with_free_edges_no_place_is_always_or_never_masked() -> None:
    for free_edges in (True, False):
        objective = _build(64, free_edges=free_edges)
        keys = rng.derive(np.uint64(3), np.arange(20_000))
        tokens = np.tile(np.arange(3, 3 + objective.raw_length, dtype=np.int32), (len(keys), 1))
        masked = np.bincount(objective(tokens, keys)["labels"].ravel(), minlength=3 + objective.raw_length)
        share = masked[3 : 3 + objective.raw_length] / len(keys)
        inner = share[5:-5]
        assert inner.std() < 0.02
        edges = share[[0, -1]]
        assert ((edges > 0.03) & (edges < 0.3)).all() if free_edges else tuple(edges) == (0.0, 1.0)


def test_a_row_does_not_depend_on_its_batch() -> None:
    objective = _build(128)
    keys = rng.derive(np.uint64(1), np.arange(32))
    tokens = rng.below(rng.draw(keys, 99, objective.raw_length), 900).astype(np.int32)
    whole = objective(tokens, keys)
    order = np.random.default_rng(0).permutation(32)[:7]
    part = objective(tokens[order], keys[order])
    for name, value in part.items():
        np.testing.assert_array_equal(value, whole[name][order])


def test_span_lengths_are_those_of_a_uniform_composition() -> None:
    """P(length = l) = C(N - l - 1, S - 2) / C(N - 1, S - 1): the distribution T5's own code draws from."""
    objective = _build(512)
    noise, spans = objective.shape.noise_tokens, objective.shape.spans
    keys = rng.derive(np.uint64(3), np.arange(4000))
    labels = objective(np.full((4000, objective.raw_length), 5, np.int32), keys)["labels"][:, :-1]
    starts = np.flatnonzero(labels.ravel() != 5)
    lengths = np.diff(np.append(starts, labels.size)) - 1
    assert lengths.sum() == 4000 * noise
    for length in range(1, 8):
        expected = math.comb(noise - length - 1, spans - 2) / math.comb(noise - 1, spans - 1)
        assert abs((lengths == length).mean() - expected) < 5 * (expected / len(lengths)) ** 0.5


def test_impossible_configurations() -> None:
    with pytest.raises(
        UserError, match=r"128 spans per window need as many sentinels, the tokenizer has 100"
    ):
        build_objective(SpanCorruptionConfig(noise_density=0.5), fake_t5(100))
    with pytest.raises(UserError, match=r"input_length 2 is too short; at least 3"):
        _build(2)
    with pytest.raises(UserError, match=r"no window gives input_length 4 exactly .*; 3 is possible"):
        _build(4, 0.5, 1.0)
    with pytest.raises(UserError, match="needs a t5 tokenizer; this one is bert"):
        build_objective(SpanCorruptionConfig(), fake_bert())
