"""T5's objectives beside plain span corruption: exact shapes, nothing lost, sentinels in order, whole units."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.base import rng
from taixue.data_tools.shards import sidecar
from taixue.pretrain.config.schema import (
    UL2,
    Denoiser,
    PrefixLmConfig,
    SpanCorruptionConfig,
    Ul2Config,
    UnitsConfig,
    UnitWeights,
)
from taixue.pretrain.objectives import Objective, build_objective
from taixue.pretrain.objectives.denoisers import Denoisers
from taixue.pretrain.objectives.span import SpanCorruption
from taixue.pretrain.objectives.spans import SpanShape, _Bounded

from .annotated import SCHEMA, windows
from .fake import fake_bert, fake_t5

TOKENIZER = fake_t5(100, 1000)
ENDS = 1


def build(config: Any) -> Objective:
    objective = build_objective(config, TOKENIZER)
    if objective.needs_annotation:
        objective.annotated(SCHEMA)
    return objective


def batch(objective: Objective, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tokens, rows = windows(count, objective.raw_length, lowest=3, vocabulary=890, end=ENDS)
    return tokens, rng.derive(np.uint64(5), np.arange(count)), rows


def restored(source: np.ndarray, labels: np.ndarray, modes: set[int]) -> list[int]:
    """The text of one stretch: every sentinel of the input replaced by what follows it in the target."""
    sentinels = set(TOKENIZER.sentinel_ids) - modes
    assert source[-1] == labels[-1] == ENDS
    source_ids = [token for token in source[:-1].tolist() if token not in modes]
    target = labels[:-1].tolist()
    marks = [token for token in target if token in sentinels]
    assert marks == [token for token in source_ids if token in sentinels]
    assert marks == list(TOKENIZER.sentinel_ids[: len(marks)])
    if not marks:
        return source_ids + target
    spans: dict[int, list[int]] = {}
    for token in target:
        if token in sentinels:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    return [token for part in source_ids for token in spans.get(part, [part])]


CONFIGS = [
    *(
        SpanCorruptionConfig(input_length=length, noise_density=density, mean_span_length=mean, spans=spans)
        for spans, (length, density, mean) in product(
            ("random", "geometric", "words", "knowledge"), [(128, 0.15, 3.0), (128, 0.5, 4.0)]
        )
    ),
    PrefixLmConfig(input_length=64),
    Ul2Config(input_length=512),
    Ul2Config(
        input_length=300,
        denoisers=(
            Denoiser(spans="random", weight=5),
            Denoiser(mode="", spans="knowledge", weight=3),
            Denoiser(mode="X", spans="words", noise_density=0.4, weight=2),
        ),
    ),
]


@pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda config: f"{config.kind}-{getattr(config, 'spans', '')}"
)
def test_nothing_is_lost(config: Any) -> None:
    objective = build(config)
    tokens, keys, rows = batch(objective, 40)
    arrays = objective(tokens, keys, rows)
    assert {name: array.shape[1:] for name, array in arrays.items()} == objective.shapes
    assert all(array.dtype == np.int64 for array in arrays.values())
    modes = set(TOKENIZER.sentinel_ids[-3:]) if config.kind == "ul2" else set()
    segments = arrays.get("segments", np.ones_like(arrays["input_ids"]))
    target_segments = arrays.get("decoder_segments", np.ones_like(arrays["labels"]))
    for row in range(len(tokens)):
        text: list[int] = []
        for number in range(1, int(segments[row].max()) + 1):
            mine, targets = segments[row] == number, target_segments[row] == number
            labels = arrays["labels"][row, targets]
            text += restored(arrays["input_ids"][row, mine], labels, modes)
            assert arrays["decoder_input_ids"][row, targets].tolist() == [0, *labels[:-1].tolist()]
        assert text == tokens[row].tolist()


@pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda config: f"{config.kind}-{getattr(config, 'spans', '')}"
)
def test_a_row_does_not_depend_on_its_batch(config: Any) -> None:
    objective = build(config)
    tokens, keys, rows = batch(objective, 20)
    whole = objective(tokens, keys, rows)
    order = np.random.default_rng(0).permutation(20)[:7]
    for name, value in objective(tokens[order], keys[order], rows[order]).items():
        np.testing.assert_array_equal(value, whole[name][order])


@pytest.mark.parametrize("spans", ["words", "knowledge"])
def test_exact_shapes_of_many_samples(spans: Any) -> None:
    """100,000 windows: N noise tokens in M spans each, none touching another, nothing special inside."""
    objective = build(SpanCorruptionConfig(input_length=128, spans=spans))
    assert isinstance(objective, SpanCorruption)
    shape = objective.shape
    fell_back = cuts = 0
    tokens, _, rows = batch(objective, 4000)
    for part in range(25):
        keys = rng.derive(np.uint64(part), np.arange(len(tokens)))
        drawn = objective.sampler(tokens, keys, rows)
        assert (drawn.noise.sum(axis=1) == shape.noise_tokens).all()
        assert (drawn.noise >= 1).all()
        assert (drawn.text[:, 1:] >= 1).all()
        assert (drawn.text.sum(axis=1) + drawn.tail[:, 0] == shape.raw_length - shape.noise_tokens).all()
        fell_back += int(drawn.fell_back.sum())
        cuts += int(drawn.cuts.sum())
    special = (drawn.numbers() > 0) & (tokens == ENDS)
    assert not special[~drawn.fell_back].any()
    assert fell_back == 0
    assert cuts / (100_000 * shape.spans) < 0.02


def test_spans_of_words_are_as_long_as_t5s() -> None:
    """Polya's urn: whole words, yet lengths like those of a random composition, as far as words allow."""
    means = {}
    for spans in ("random", "words"):
        objective = build(SpanCorruptionConfig(input_length=512, spans=spans))
        assert isinstance(objective, SpanCorruption)
        drawn = objective.sampler(*batch(objective, 400))
        means[spans] = drawn.noise.mean(), drawn.noise.std()
    assert means["words"][0] == means["random"][0]
    assert abs(means["words"][1] / means["random"][1] - 1) < 0.35


def test_knowledge_keeps_entities_together() -> None:
    share = {}
    for spans in ("random", "knowledge"):
        objective = build(SpanCorruptionConfig(input_length=512, spans=spans))
        assert isinstance(objective, SpanCorruption)
        tokens, keys, rows = batch(objective, 400)
        numbers = objective.sampler(tokens, keys, rows).numbers()
        word = np.cumsum((rows["flags"] & sidecar.UNIT) != 0, axis=1)
        inside = (word[:, 1:] == word[:, :-1]) & (rows["entity"][:, 1:] > 0)
        touched = inside & ((numbers[:, 1:] > 0) | (numbers[:, :-1] > 0))
        share[spans] = (numbers[:, 1:] == numbers[:, :-1])[touched].mean()
    assert share["random"] < 0.7
    assert share["knowledge"] > 0.97


def test_without_a_way_spans_are_random_and_counted() -> None:
    """Document ends everywhere: no span of three tokens can be made of units."""
    objective = build(SpanCorruptionConfig(input_length=64, spans="knowledge"))
    assert isinstance(objective, SpanCorruption)
    tokens, keys, rows = batch(objective, 8)
    tokens = tokens.copy()
    tokens[:4, ::2] = ENDS
    drawn = objective.sampler(tokens, keys, rows)
    assert drawn.fell_back.tolist() == [True] * 4 + [False] * 4
    assert objective(tokens, keys, rows)["labels"].shape == (8, objective.shapes["labels"][0])


@given(st.integers(2, 60), st.floats(1.0, 6.0), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_bounded_spans(noise: int, mean: float, longest: int) -> None:
    spans = max(1, round(noise / mean))
    shape = SpanShape(4 * noise, noise, spans)
    if spans * longest < noise:
        with pytest.raises(UserError, match="longest_span"):
            _Bounded(shape, longest)
        return
    parts = _Bounded(shape, longest)(rng.derive(np.uint64(1), np.arange(50)))
    assert (parts.sum(axis=1) == noise).all()
    assert parts.min() >= 1
    assert parts.max() <= longest


def test_bounded_spans_are_uniform() -> None:
    """All ten compositions of 7 into 3 parts of at most 4 minus those with a longer part, equally often."""
    parts = _Bounded(SpanShape(20, 7, 3), 4)(rng.derive(np.uint64(1), np.arange(60_000)))
    kinds, counts = np.unique(parts, axis=0, return_counts=True)
    assert len(kinds) == 12
    expected = 60_000 / len(kinds)
    assert ((counts - expected) ** 2 / expected).sum() < 11 + 5 * (2 * 11) ** 0.5


def test_ul2_fills_its_rows() -> None:
    objective = build(Ul2Config(input_length=2048))
    assert isinstance(objective, Denoisers)
    assert objective.padding == 0
    shares = [part.input_length / 2048 for part in objective.parts]
    np.testing.assert_allclose(shares, 1 / 7, atol=0.003)
    tokens, keys, rows = batch(objective, 300)
    firsts = objective.order(keys)
    np.testing.assert_allclose(firsts.mean(axis=0), 3.0, atol=0.4)
    assert (np.sort(firsts, axis=1) == np.arange(7)).all()
    starts = objective(tokens, keys, rows)["input_ids"]
    modes = [int((starts == number).sum(axis=1)[0]) for number in TOKENIZER.sentinel_ids[-3:]]
    assert modes == [2, 1, 4]
    assert [denoiser.mode for denoiser in UL2] == list("RRSXXXX")


def test_documents_stay_apart() -> None:
    objective = build(SpanCorruptionConfig(input_length=128, spans="words", documents="separate"))
    tokens, keys, rows = batch(objective, 30)
    arrays = objective(tokens, keys, rows)
    for row in range(len(tokens)):
        target = arrays["decoder_segments"][row]
        assert (np.diff(target) >= 0).all()
        begins = np.flatnonzero(np.diff(target, prepend=-1))
        assert (arrays["decoder_input_ids"][row, begins] == 0).all()
        sentinels = set(TOKENIZER.sentinel_ids)
        of = {
            int(t): int(s)
            for t, s in zip(arrays["input_ids"][row], arrays["segments"][row], strict=True)
            if t in sentinels
        }
        for token, segment in zip(arrays["labels"][row].tolist(), target.tolist(), strict=True):
            assert token not in of or of[token] == segment


def test_a_mode_token_is_in_the_document_that_follows_it() -> None:
    objective = build(Ul2Config(input_length=768, documents="separate"))
    tokens, keys, rows = batch(objective, 30)
    arrays = objective(tokens, keys, rows)
    modes = np.isin(arrays["input_ids"], TOKENIZER.sentinel_ids[-3:])
    row, column = np.nonzero(modes)
    assert modes.sum(axis=1).tolist() == [7] * len(tokens)
    assert (arrays["segments"][row, column] == arrays["segments"][row, column + 1]).all()
    assert (arrays["segments"][row, column] > 0).all()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Ul2Config(input_length=16), "too short|leaves"),
        (Ul2Config(input_length=512, mode_tokens={"R": "[NLU]"}), r"mode_tokens.R: '\[NLU\]' is no piece"),
        (
            Ul2Config(input_length=4096),
            r"spans of denoiser X .* need as many sentinels, the tokenizer has 97 left",
        ),
        (PrefixLmConfig(input_length=1), "at least 2"),
        (
            SpanCorruptionConfig(mean_span_length=8, spans="geometric", longest_span=5),
            "longest_span: .* at least 8",
        ),
    ],
)
def test_impossible_configurations(config: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_objective(config, TOKENIZER)
    with pytest.raises(UserError, match="needs a t5 tokenizer"):
        build_objective(config, fake_bert())


def test_only_words_have_no_weight_of_zero_in_spans() -> None:
    """Every span needs an anchor: words serve where nothing else is left."""
    weights = UnitWeights(word=0, entity=1, connective=1, idiom=1, clause=0)
    objective = build(
        SpanCorruptionConfig(input_length=128, spans="knowledge", units=UnitsConfig(weights=weights))
    )
    assert isinstance(objective, SpanCorruption)
    assert not objective.sampler(*batch(objective, 40)).fell_back.any()


@pytest.mark.parametrize(
    "config",
    [
        SpanCorruptionConfig(input_length=128, spans="words", features=True),
        Ul2Config(input_length=512, features=True),
    ],
    ids=lambda config: config.kind,
)
def test_features_lie_beside_their_tokens(config: Any) -> None:
    """Every token has a number of its own, which finds its row again; sentinels, modes and EOS have no features."""
    objective = build(config)
    _, keys, rows = batch(objective, 8)
    numbered = np.tile(np.arange(2, 2 + objective.raw_length, dtype=np.int32), (8, 1)) % 800 + 3
    arrays = objective(numbered, keys, rows)
    assert {name: array.shape[1:] for name, array in arrays.items()} == objective.shapes
    ordinary = (arrays["input_ids"] >= 3) & (arrays["input_ids"] < 900)
    assert (arrays["word_groups"][~ordinary] == 0).all()
    assert (arrays["word_groups"][ordinary] > 0).all()
    if config.kind == "span-corruption":
        place = np.where(ordinary, arrays["input_ids"] - numbered[0, 0], 0)
        assert (
            arrays["pos_ids"] == np.where(ordinary, np.take_along_axis(rows["pos"], place, axis=1), 0)
        ).all()
