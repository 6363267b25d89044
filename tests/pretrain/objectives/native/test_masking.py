"""Masking: C++ and plain Python agree on any annotation, and what both promise holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue.pretrain.objectives.native import masking
from taixue.pretrain.objectives.native.masking import UnitRules
from taixue.pretrain.objectives.native.plain import (
    masked_windows,
    span_windows,
    token_tags,
    unit_spans,
    units,
)

VOCABULARY = 50
SPECIAL = np.zeros(VOCABULARY, np.uint8)
SPECIAL[:5] = 1

seeds = st.integers(0, 2**32 - 1)
rules = st.builds(
    UnitRules,
    weights=st.tuples(*[st.sampled_from([0, 1, 205, 1024, 3072])] * 5).filter(any),
    caps=st.tuples(*[st.sampled_from([0.0, 0.2, 0.4, 1.0])] * 5),
    layers=st.frozensets(st.integers(0, 4)),
    idioms=st.just(frozenset({3})),
    closing=st.just(frozenset({4})),
    longest_clause=st.integers(2, 8),
    pairs=st.sampled_from([0, 1 << 63, (1 << 64) - 1]),
    ngrams=st.sampled_from([(), (1 << 63, 3 << 62)]),
    relation=st.booleans(),
)


def windows(seed: int, batch: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, rows and keys; any flags and values, so more than an annotator would write."""
    random = np.random.default_rng(seed)
    tokens = random.integers(5, VOCABULARY, (batch, length)).astype(np.int32)
    tokens[random.random(tokens.shape) < 0.05] = 3
    rows = np.zeros((batch, length, random.choice([4, 7, 10])), np.uint8)
    rows[..., 0] = random.integers(0, 256, tokens.shape) & random.integers(0, 256, tokens.shape)
    rows[..., 0] |= random.random(tokens.shape) < 0.4
    rows[..., 1] = random.integers(0, 6, tokens.shape)
    for column in (2, 3):
        rows[..., column] = random.integers(0, 3, tokens.shape) * (random.random(tokens.shape) < 0.3)
    return tokens, rows, random.integers(0, 2**64, batch, np.uint64)


@settings(max_examples=300, deadline=None)
@given(seeds, st.integers(1, 80), st.floats(0.01, 0.9), rules)
def test_units_agree(seed: int, length: int, share: float, chosen: UnitRules) -> None:
    tokens, rows, keys = windows(seed, 3, length)
    marks, relations = masking.choose_units(tokens, rows, keys, SPECIAL, share, chosen)
    expected = units.choose_units(tokens, rows, keys, SPECIAL, share, chosen)
    np.testing.assert_array_equal(marks, expected[0])
    np.testing.assert_array_equal(relations, expected[1])
    assert not marks[SPECIAL[tokens] == 1].any()
    real = (SPECIAL[tokens] == 0).sum(axis=1).tolist()
    assert ((marks > 0).sum(axis=1) <= [units.budget_of(count, share) for count in real]).all()


@settings(max_examples=100, deadline=None)
@given(seeds, st.integers(1, 80), st.floats(0.01, 0.9))
def test_tokens_agree(seed: int, length: int, share: float) -> None:
    tokens, _, keys = windows(seed, 3, length)
    marks = masking.choose_tokens(tokens, keys, SPECIAL, share)
    np.testing.assert_array_equal(marks, units.choose_tokens(tokens, keys, SPECIAL, share))


@settings(max_examples=300, deadline=None)
@given(seeds, st.integers(4, 90), st.floats(0.02, 0.6), st.floats(1.0, 8.0), rules)
def test_spans_agree(seed: int, length: int, density: float, mean: float, chosen: UnitRules) -> None:
    tokens, rows, keys = windows(seed, 3, length)
    noise = max(1, round(length * density))
    spans = max(1, min(round(noise / mean), length - noise))
    edges, cuts = masking.unit_spans(tokens, rows, keys, SPECIAL, noise, spans, chosen)
    expected = unit_spans.unit_spans(tokens, rows, keys, SPECIAL, noise, spans, chosen)
    np.testing.assert_array_equal(edges, expected[0])
    np.testing.assert_array_equal(cuts, expected[1])
    for row, found in enumerate(edges):
        if found[0, 0] < 0:
            assert (found == -1).all()
            continue
        assert (found[:, 1] - found[:, 0]).sum() == noise
        assert (found[:, 1] > found[:, 0]).all()
        assert (found[1:, 0] > found[:-1, 1]).all()
        inside = np.concatenate([np.arange(begin, end) for begin, end in found])
        assert not SPECIAL[tokens[row, inside]].any()


@settings(max_examples=200, deadline=None)
@given(seeds, st.integers(4, 60), st.booleans(), st.booleans(), st.sets(st.integers(0, 5)))
def test_layouts_agree(seed: int, length: int, ordered: bool, replaced: bool, per_unit: set[int]) -> None:
    tokens, rows, keys = windows(seed, 3, length)
    chosen = UnitRules((1024,) * 5, relation=True)
    marks, _ = masking.choose_units(tokens, rows, keys, SPECIAL, 0.4, chosen)
    ordinary = np.flatnonzero(SPECIAL == 0).astype(np.int32)
    order = keys ^ np.uint64(7) if ordered else None
    instead = np.roll(tokens, 1, axis=1) if replaced else None
    arguments = (tokens, marks, keys, order, instead, ordinary, (4, 2, 3), per_unit)
    made = masking.lay_out_mlm(*arguments, with_index=True)
    expected = masked_windows.lay_out_mlm(*arguments)
    assert made.keys() == expected.keys()
    for name, array in made.items():
        np.testing.assert_array_equal(array, expected[name], name)


@settings(max_examples=100, deadline=None)
@given(seeds, st.integers(1, 300), st.data())
def test_compositions_agree(seed: int, total: int, data: st.DataObject) -> None:
    parts = data.draw(st.integers(1, total))
    keys = np.random.default_rng(seed).integers(0, 2**64, 3, np.uint64)
    made = masking.compositions(keys, total, parts)
    np.testing.assert_array_equal(made, span_windows.compositions(keys, total, parts))
    assert (made >= 1).all()
    assert (made.sum(axis=1) == total).all()


@settings(max_examples=200, deadline=None)
@given(
    seeds,
    st.integers(2, 60),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["none", "stretches", "documents"]),
)
def test_span_layouts_agree(seed: int, length: int, marked: bool, mode: bool, segments: str) -> None:
    random = np.random.default_rng(seed)
    batch, width = 3, length + 5
    tokens = random.integers(5, VOCABULARY, (batch, width)).astype(np.int32)
    noise_tokens = int(random.integers(1, length))
    spans = int(random.integers(1, min(noise_tokens, length - noise_tokens) + 1)) if marked else 1
    keys = random.integers(0, 2**64, batch, np.uint64)
    noise = masking.compositions(keys, noise_tokens, spans)
    text = masking.compositions(keys ^ np.uint64(1), length - noise_tokens + 1, spans + 1)
    text[:, -1] -= 1
    source, target = length - noise_tokens + marked * spans + 1 + mode, noise_tokens + marked * spans + 1
    begins = random.integers(0, 5, (batch, 3))
    documents = np.cumsum(random.random((batch, width)) < 0.2, axis=1) if segments == "documents" else None
    shift = random.integers(0, 9, batch) if segments != "none" else None
    shapes = {"input_ids": source, "index": source, "labels": target, "decoder_input_ids": target}
    shapes |= {"segments": source, "decoder_segments": target} if segments != "none" else {}
    made, expected = (
        {name: np.full((batch, size + 5), 77) for name, size in shapes.items()} for _ in range(2)
    )
    arguments = (
        tokens,
        begins,
        (noise, text[:, :-1], text[:, -1:]),
        np.arange(60, 60 + spans) if marked else np.zeros(0, np.int64),
        (99 if mode else -1, 1, 0),
        (documents, shift),
    )
    masking.lay_out_spans(*arguments, made)
    span_windows.lay_out_spans(*arguments, expected)
    for name, array in made.items():
        np.testing.assert_array_equal(array, expected[name], name)
    with pytest.raises(ValueError, match="do not fit"):
        masking.lay_out_spans(tokens, begins + 6, *arguments[2:], made)


@settings(max_examples=100, deadline=None)
@given(seeds, st.integers(1, 40), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_tags_agree(seed: int, length: int, masks: bool, tags: bool, groups: bool, roles: bool) -> None:
    _, rows, _ = windows(seed, 3, length)
    random = np.random.default_rng(seed)
    index = random.integers(-1, length, (3, length + 2))
    masked = random.integers(0, 2, index.shape).astype(np.uint8) if masks else None
    columns = (1, 2, 3) if roles else None
    made = masking.token_features(rows, index, masked, tags, groups, columns)
    expected = token_tags.token_features(rows, index, masked, tags, groups, columns)
    assert made.keys() == expected.keys()
    made |= masking.token_labels(rows, index, masked, tags)
    expected |= token_tags.token_labels(rows, index, masked, tags)
    for name, array in made.items():
        np.testing.assert_array_equal(array, expected[name], name)
    with pytest.raises(ValueError, match="outside the window"):
        masking.token_labels(rows, index + length + 1, masked, tags)


def test_bad_arrays_are_refused() -> None:
    tokens, rows, keys = windows(1, 2, 8)
    with pytest.raises(ValueError, match="outside the vocabulary"):
        masking.choose_tokens(tokens + VOCABULARY, keys, SPECIAL, 0.2)
    marks, none = np.ones_like(tokens), np.zeros(0, np.int32)
    with pytest.raises(ValueError, match="no ordinary token"):
        masking.lay_out_mlm(tokens, marks, keys, None, None, none, (1, 2, 3), (), False)
    with pytest.raises(ValueError, match="no ordinary token"):
        masked_windows.lay_out_mlm(tokens, marks, keys, None, None, none, (1, 2, 3), ())
    with pytest.raises(ValueError, match="need rows"):
        masking.choose_units(tokens, rows[:, :-1].copy(), keys, SPECIAL, 0.2, UnitRules((1,) * 5))
