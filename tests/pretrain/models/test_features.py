"""Linguistic inputs and auxiliary heads: without effect at the start, gone from exports, and each does what it says."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from taixue.kernels.loss import IGNORE
from taixue.pretrain.config.schema import BertConfig, FeaturesConfig, HeadsConfig, T5Config
from taixue.pretrain.data.feature_dropout import FEATURES
from taixue.pretrain.export.mapping import state_to_hf
from taixue.pretrain.models import FAMILIES, build_model, model_spec
from taixue.pretrain.models.hugging_face import is_extra
from taixue.pretrain.models.linguistic import GroupBias
from taixue.pretrain.models.umt5.config import UMT5Config
from taixue.pretrain.run.predictions import without_features
from taixue.pretrain.verify.batch import random_batch

ALL = FeaturesConfig(pos_tags=6, roles=5, word_bias=True, clause_bias=True, bias_heads=2, bias_layers=(1,))
SHAPE: dict[str, Any] = {"vocab_size": 96, "d_model": 32, "d_ff": 48, "num_heads": 4, "dropout": 0.0}
T5 = T5Config(**SHAPE, d_kv=8, num_encoder_layers=2, num_decoder_layers=2)
UMT5 = UMT5Config(**T5.model_dump(exclude={"family"}))
MODELS = [T5, UMT5, BertConfig(**SHAPE, num_layers=2), BertConfig(**SHAPE, num_layers=2, norm="pre")]


def started(config: T5Config | BertConfig, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The model as training starts it."""
    model, spec = build_model(config).to(dtype), model_spec(config, 1, (16, 10))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(spec.init(name, tuple(parameter.shape)))
    return model


def linguistic(config: T5Config | BertConfig, **features: object) -> T5Config | BertConfig:
    return config.model_copy(update={"features": ALL.model_copy(update=features)})


def case(model: T5Config | BertConfig) -> str:
    return FAMILIES.of(model).hf.model_type(model)


def logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    inputs = {name: x for name, x in batch.items() if not name.endswith("labels")}
    out = model(**inputs)
    return out[0] if isinstance(out, tuple) else out


@pytest.mark.parametrize("config", MODELS, ids=case)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_step_0_equals_the_plain_model_bit_for_bit(config: T5Config | BertConfig, dtype: torch.dtype) -> None:
    batch = random_batch(linguistic(config), 4, 0, 16)
    plain_batch = {name: x for name, x in batch.items() if name not in FEATURES}
    with torch.no_grad():
        plain, ours = started(config, dtype), started(linguistic(config), dtype)
        assert (logits(plain, plain_batch) == logits(ours, batch)).all()
        assert (plain(**plain_batch) == ours(**batch)).all()


@pytest.mark.parametrize("config", MODELS, ids=case)
def test_each_input_matters_once_its_scale_is_not_0(config: T5Config | BertConfig) -> None:
    wanted = linguistic(config)
    model = started(wanted)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("scale.weight", "group_bias.weight")):
                parameter.fill_(0.7)
        batch = random_batch(wanted, 4, 0, 16)
        before = logits(model, batch)
        for name in FEATURES:
            changed = logits(model, batch | {name: torch.zeros_like(batch[name])})
            assert not torch.allclose(changed[1:], before[1:]), name
        nothing = without_features(batch)
        assert (logits(started(config), nothing) == logits(model, nothing)).all()  # as an exported model


@pytest.mark.parametrize("config", MODELS, ids=case)
def test_the_scales_learn_from_the_first_step(config: T5Config | BertConfig) -> None:
    model = started(linguistic(config))
    model(**random_batch(linguistic(config), 4, 0, 16)).sum().backward()
    scales = {n: p for n, p in model.named_parameters() if n.endswith(("scale.weight", "group_bias.weight"))}
    assert len(scales) == 3
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in scales.values())


def test_biased_heads_are_evenly_spaced_and_the_same_on_every_rank() -> None:
    bias = GroupBias(1, 2, 8)
    nn.init.ones_(bias.weight)
    assert bias()[0].tolist() == [1, 0, 0, 0, 1, 0, 0, 0]
    bias.weight = nn.Parameter(bias.weight[:, :1])  # one of two ranks
    assert bias()[0].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("config", MODELS, ids=case)
def test_an_export_holds_the_tensors_of_the_plain_model(config: T5Config | BertConfig) -> None:
    wanted = linguistic(config)
    if isinstance(wanted, BertConfig):
        wanted = wanted.model_copy(update={"heads": HeadsConfig(pos=6, ne=4, relation=3)})
    state = dict(started(wanted).named_parameters())
    assert (
        state_to_hf(wanted, state).keys()
        == state_to_hf(config, dict(started(config).named_parameters())).keys()
    )
    assert any(is_extra(type(wanted), name) for name in state)


def test_auxiliary_losses_are_smoothed_and_only_where_there_are_labels() -> None:
    config = BertConfig(**SHAPE, num_layers=2, heads=HeadsConfig(pos=6, ne=4, relation=3))
    model, batch = started(config, torch.float64), random_batch(config, 4, 0, 16)
    assert model_spec(config, 1, (16, 0)).loss_names == ("mlm", "sop", "pos", "ne", "relation")
    losses = model(**batch)
    assert losses.shape == (5,)
    assert (losses > 0).all()
    plain = build_model(config.model_copy(update={"heads": HeadsConfig()})).double()
    plain.load_state_dict({n: p for n, p in model.state_dict().items() if not is_extra(type(config), n)})
    labels = ("pos_labels", "ne_labels", "relation_labels")
    assert (plain(**{n: x for n, x in batch.items() if n not in labels}) == losses[:2]).all()
    without = batch | {"pos_labels": torch.full_like(batch["pos_labels"], IGNORE)}
    assert model(**without)[2] == 0
    del without["pos_labels"]
    assert (model(**without)[[0, 1, 3, 4]] == losses[[0, 1, 3, 4]]).all()
    # smoothing 0.1: a prediction that is sure and right still pays
    from taixue.pretrain.models.bert.model import class_cross_entropy_sum

    sure = torch.tensor([[40.0, 0, 0, 0]])
    assert class_cross_entropy_sum(sure, torch.tensor([0]), 0.1).item() == pytest.approx(40 * 0.1 * 3 / 4)
