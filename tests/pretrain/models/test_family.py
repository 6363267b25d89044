"""What holds for every record: torch only when it is needed, probes for all that a schema allows, derived switches."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.kernels.loss import IGNORE
from taixue.pretrain.config.schema import (
    BertConfig,
    FeaturesConfig,
    HeadsConfig,
    ModelConfig,
    RunConfig,
    T5Config,
)
from taixue.pretrain.config.validate import validate
from taixue.pretrain.data.dataset import _identity
from taixue.pretrain.models import FAMILIES, build_model, model_spec
from taixue.pretrain.models.albert.config import AlbertConfig
from taixue.pretrain.models.bert.heads import AUXILIARY, SENTENCE_ORDER
from taixue.pretrain.models.bert.inputs import LABELS
from taixue.pretrain.models.family import Small
from taixue.pretrain.models.mt5.config import MT5Config
from taixue.pretrain.models.umt5.config import UMT5Config


def test_configurations_need_no_torch() -> None:
    code = (
        "import sys; from taixue.pretrain.config.schema import RunConfig; from taixue.pretrain.models import FAMILIES\n"
        "run = RunConfig(); family = FAMILIES.of(run.model); list(family.hf.left_out(run.model))\n"
        "family.costs.forward_flops(run.model, (512, 114)); assert 'torch' not in sys.modules, 'torch'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


features = st.builds(
    FeaturesConfig,
    pos_tags=st.integers(0, 9),
    roles=st.integers(0, 9),
    word_bias=st.booleans(),
    clause_bias=st.booleans(),
    bias_layers=st.sampled_from([(), (0,), (1,), (0, 3)]),
    bias_heads=st.integers(0, 4),
)
shape: dict[str, Any] = {
    "vocab_size": st.sampled_from([1, 2, 50]),
    "num_heads": st.integers(1, 3),
    "features": features,
}
models = st.one_of(
    st.builds(
        T5Config,
        **shape,
        num_encoder_layers=st.integers(1, 4),
        num_decoder_layers=st.integers(1, 4),
        ffn=st.sampled_from(["relu", "gated-gelu"]),
        tie_embeddings=st.booleans(),
    ),
    st.builds(MT5Config, **shape, num_encoder_layers=st.integers(1, 4), num_decoder_layers=st.integers(1, 4)),
    st.builds(
        UMT5Config,
        **shape,
        num_encoder_layers=st.integers(1, 4),
        num_decoder_layers=st.integers(1, 4),
        tie_embeddings=st.booleans(),
    ),
    st.builds(
        AlbertConfig,
        **shape,
        num_layers=st.integers(1, 4),
        embedding_size=st.integers(1, 9),
        max_positions=st.sampled_from([1, 3, 512]),
        heads=st.builds(HeadsConfig, pos=st.integers(0, 9)),
        knowledge_width=st.sampled_from([0, 1, 100]),
    ),
    st.builds(
        BertConfig,
        **shape,
        num_layers=st.integers(1, 4),
        norm=st.sampled_from(["pre", "post"]),
        activation=st.sampled_from(["gelu", "gelu_new", "relu"]),
        max_positions=st.sampled_from([1, 3, 512]),
        token_types=st.integers(1, 3),
        heads=st.builds(HeadsConfig, pos=st.integers(0, 9), ne=st.integers(0, 9), relation=st.integers(0, 9)),
        knowledge_width=st.sampled_from([0, 1, 100]),
    ),
)


def fits(config: ModelConfig, samples: int, lengths: tuple[int, int]) -> None:
    """Its probe batch runs through the model, and every loss has its labels."""
    family = FAMILIES.of(config)
    batch = family.probe(config, samples, 1, lengths)
    losses = build_model(config)(**batch)
    names = family.losses(config)
    assert losses.shape == (len(names),)
    assert losses.isfinite().all()
    assert set(names.values()) <= batch.keys()


@settings(deadline=None, max_examples=60)
@given(config=models, ranks=st.integers(1, 3), source=st.sampled_from([4, 16]))
def test_a_probe_of_the_small_shape_of_anything_legal_can_be_run(
    config: ModelConfig, ranks: int, source: int
) -> None:
    family = FAMILIES.of(config)
    small = family.small(config, Small(ranks, 4, source))
    assert type(small).model_validate(small.model_dump()) == small
    assert family.costs.layers(small) >= 2 * ranks
    fits(small, 3, (source, 10))


@pytest.mark.parametrize(
    "config",
    [
        T5Config(vocab_size=1, d_model=8, d_kv=4, d_ff=8, num_heads=1, num_encoder_layers=1, num_decoder_layers=1),
        BertConfig(
            vocab_size=1, d_model=8, d_ff=8, num_heads=1, num_layers=1, max_positions=1, token_types=1,
            heads=HeadsConfig(pos=1, ne=1, relation=1), knowledge_width=1, features=FeaturesConfig(pos_tags=1, roles=1),
        ),
    ],
    ids=["t5", "bert"],
)  # fmt: skip
def test_probes_of_one_of_everything(config: ModelConfig) -> None:
    fits(config, 1, (1, 1))
    fits(config, 2, (16, 10))


def test_padding_of_targets_is_ignored_by_the_loss() -> None:
    config = T5Config(vocab_size=40, d_model=8, d_kv=4, d_ff=8, num_heads=2, dropout=0.0)
    spec, model = model_spec(config, 1, (16, 10)), build_model(config).double()
    batch = FAMILIES.of(config).probe(config, 2, 0, (8, 5)) | {
        "decoder_segments": torch.ones(2, 5, dtype=torch.long)
    }
    batch |= {"segments": torch.ones(2, 8, dtype=torch.long)}
    padded = spec.pad(batch, 4)
    assert (
        padded["labels"].shape
        == padded["decoder_input_ids"].shape
        == padded["decoder_segments"].shape
        == (2, 8)
    )
    assert (padded["labels"][:, 5:] == IGNORE).all()
    assert padded["input_ids"] is batch["input_ids"]
    torch.testing.assert_close(model(**padded), model(**batch), rtol=1e-12, atol=0)


def test_a_key_that_a_model_does_not_know_is_refused() -> None:
    for config in (T5Config(d_model=8, num_heads=1), BertConfig(d_model=8, num_heads=1)):
        batch = FAMILIES.of(config).probe(config, 1, 0, (4, 4))
        with pytest.raises(TypeError, match="no label_ids"):
            build_model(config)(**batch, label_ids=batch["labels"])


def test_heads_are_complete() -> None:
    heads = (*AUXILIARY, SENTENCE_ORDER)
    assert {head.name for head in AUXILIARY} == HeadsConfig.model_fields.keys()
    assert {head.labels for head in heads} <= LABELS.keys()


BERT = {"family": "bert", "vocab_size": 1024, "d_model": 64, "num_heads": 4, "num_layers": 4, "d_ff": 128}


def run(model: dict[str, Any], objective: dict[str, Any]) -> RunConfig:
    return RunConfig.model_validate({"model": model, "objective": objective})


def test_switches_follow_the_model_and_identities_stay() -> None:
    tagged = BERT | {"heads": {"pos": 5, "ne": 0, "relation": 0}, "features": {"pos_tags": 5}}
    mlm = {"kind": "mlm", "input_length": 64}
    for model, features, tags in ((tagged, True, True), (BERT, False, False)):
        derived = run(model, mlm)
        said = run(model, mlm | {"features": features, "tag_labels": tags, "relation_labels": False})
        assert derived == said
        assert (derived.objective.model_dump()["features"], derived.objective.model_dump()["tag_labels"]) == (
            features,
            tags,
        )
        validate(derived, None)
        assert _identity(derived.objective) == _identity(said.objective)
    assert _identity(run(BERT, mlm).objective).keys() == {
        "kind", "input_length", "mask_probability", "sentence_order",
    }  # fmt: skip
    assert _identity(run(tagged, mlm).objective).keys() >= {"features", "tag_labels"}


@pytest.mark.parametrize(
    ("name", "value"), [("features", True), ("tag_labels", True), ("relation_labels", True)]
)
def test_a_switch_that_contradicts_the_model_is_refused(name: str, value: bool) -> None:
    with pytest.raises(UserError, match=f"objective.{name}: true, but .* set it to false"):
        validate(run(BERT, {"kind": "mlm", "input_length": 64, name: value}), None)
