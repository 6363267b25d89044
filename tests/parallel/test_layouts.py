"""Every layout equals one process in float64: loss, gradients, norm, weights after AdamW steps (`taixue verify`)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from taixue import UserError
from taixue.parallel.mesh import Layout
from taixue.pretrain.config.schema import BertConfig, FeaturesConfig, HeadsConfig, T5Config
from taixue.pretrain.models import FAMILIES
from taixue.pretrain.models.albert.config import AlbertConfig
from taixue.pretrain.models.umt5.config import UMT5Config
from taixue.pretrain.run.predictions import as_tensors
from taixue.pretrain.verify.comparison import (
    GRADIENT_TOLERANCE,
    LAYOUTS,
    Difference,
    compare,
    reference,
    small,
    worst_difference,
)
from taixue.pretrain.verify.layouts import describe, parse_layout

ALL = [layout for name in LAYOUTS for layout in parse_layout(name)]
COMBINED = [
    layout
    for name in (
        *("tp2xdp2:sp", "hsdp2x2", "tp2xpp2:1f1b:sp", "tp2xpp2:interleaved:sp", "tp2xpp2:v:nosp"),
        *("pp2xdp2:1f1b", "pp2xdp2:interleaved", "pp2xdp2:v", "tp2xpp2xdp2:v:sp"),
    )
    for layout in parse_layout(name)
]
FEW = [layout for name in ("tp2:sp", "pp2:interleaved", "tp2xpp2:v:nosp") for layout in parse_layout(name)]
SOME = [*FEW, *(layout for name in ("pp2:1f1b", "hsdp2x2xpp2:v") for layout in parse_layout(name))]

T5_V1_1 = T5Config(dropout=0.1)
T5_V1_0 = T5Config(ffn="relu", tie_embeddings=True, dropout=0.1)
UMT5 = UMT5Config(dropout=0.1)
BERT = BertConfig(norm="post")
MEGATRON_BERT = BertConfig(norm="pre")
ALBERT = AlbertConfig()

FEATURES = FeaturesConfig(
    pos_tags=30, roles=20, word_bias=True, clause_bias=True, bias_layers=(1,), bias_heads=6
)
HEADS = HeadsConfig(pos=30, ne=9, relation=10)
T5_LINGUISTIC = T5Config(features=FEATURES)
UMT5_LINGUISTIC = UMT5Config(features=FEATURES)
BERT_LINGUISTIC = BertConfig(features=FEATURES, heads=HEADS, knowledge_width=100)
ALBERT_LINGUISTIC = AlbertConfig(
    features=FEATURES.model_copy(update={"bias_layers": (0,)}), heads=HEADS, knowledge_width=100
)
MEGATRON_LINGUISTIC = BertConfig(norm="pre", features=FeaturesConfig(word_bias=True), heads=HEADS)
LINGUISTIC = [layout for name in ("tp2xpp2:1f1b:sp", "pp2xdp2:v") for layout in parse_layout(name)]

CASES = [
    # of what twos prove, fours and eight combine a part; `taixue verify` tries the rest
    *[(T5_V1_1, layout) for layout in ALL if layout.world < 4 or layout in COMBINED],
    *[(BERT, layout) for layout in FEW],
    *[(T5_V1_0, layout) for layout in FEW],
    *[(UMT5, layout) for layout in FEW],
    *[(MEGATRON_BERT, layout) for layout in FEW],
    # every stage holds a replica of the one layer, and ranks of two stages two
    *[(ALBERT, layout) for layout in (*SOME, *parse_layout("pp2xdp2:interleaved"))],
    *[(model, layout) for model in (T5_LINGUISTIC, BERT_LINGUISTIC) for layout in LINGUISTIC],
    *[(model, layout) for model in (UMT5_LINGUISTIC, ALBERT_LINGUISTIC) for layout in LINGUISTIC[:1]],
    *[(MEGATRON_LINGUISTIC, layout) for layout in parse_layout("tp2:sp")],
]


def _name(value: object) -> str:
    if isinstance(value, Layout):
        return describe(value)
    tags = "-linguistic" if value.features != FeaturesConfig() else ""
    return f"{FAMILIES.of(value).hf.model_type(value)}{tags}"


@pytest.mark.parametrize(("model", "layout"), CASES, ids=_name)
def test_equals_one_process(model: T5Config | BertConfig, layout: Layout) -> None:
    difference = compare(small(model, layout), layout)
    assert difference.equal, difference


def test_nothing_that_is_not_a_number_counts_as_equal() -> None:
    fine = Difference(Layout(), 1.0, 0.0, 0.0, "", 0.0, 0.0)
    assert fine.equal
    for field in ("loss_difference", "gradient", "norm", "weights"):
        assert not replace(fine, **{field: float("nan")}).equal
    values = {"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])}
    assert worst_difference(values.items(), {"a": torch.ones(2), "b": torch.ones(2)}) == (float("inf"), "b")


def test_uneven_depths_are_tested_as_they_are() -> None:
    def depths(encoder: int, decoder: int, name: str) -> tuple[int, int]:
        model = T5Config(num_encoder_layers=encoder, num_decoder_layers=decoder)
        shape = small(model, parse_layout(name)[0])
        assert isinstance(shape, T5Config)
        return shape.num_encoder_layers, shape.num_decoder_layers

    assert depths(1, 5, "pp3") == (1, 5)
    assert depths(5, 1, "pp3") == (5, 1)
    assert depths(1, 12, "pp2") == (1, 3)
    assert depths(12, 12, "pp3") == (3, 3)
    assert depths(1, 1, "pp2") == (2, 2)


def test_a_bias_is_measured_by_the_magnitudes_it_is_the_sum_of() -> None:
    """What is zero but for rounding is equal; what differs by more than rounding of its own terms is not."""
    model = small(BertConfig(norm="pre"), Layout(tp=3))
    found = reference(model, 4, 18)
    name = "layers.0.attention.k.bias"
    assert np.abs(found.grads[name]).max() < 1e-14
    scale = found.sums[name]
    assert scale > 1e-6
    for error, equal in ((1e-13, True), (1e-11, False)):
        value = torch.from_numpy(found.grads[name]) + error * scale
        difference, _ = worst_difference([(name, value)], as_tensors(found.grads), 1e-30, found.sums)
        assert (difference <= GRADIENT_TOLERANCE) == equal


def test_names_of_layouts_are_read_back() -> None:
    assert len(ALL) == 24
    for layout in ALL:
        assert parse_layout(describe(layout)) == [layout]
    assert parse_layout("pp2xhsdp2x4:v") == [
        Layout(pp=2, dp_replicate=2, dp_shard=4, schedule="v", sequence_parallel=False)
    ]


@pytest.mark.parametrize("name", ["", "tp", "tp2x", "tp2pp2", "zp2", "tp2:fast", "hsdp2"])
def test_a_name_that_is_not_understood_is_answered(name: str) -> None:
    with pytest.raises(UserError, match=r"not understood.*for example"):
        parse_layout(name)
