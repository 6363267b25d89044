"""The tables name every parameter of models of published sizes, once, in both directions, as transformers does."""

import pytest
import torch
import transformers
from transformers import AutoConfig

from taixue import UserError
from taixue.pretrain.config.schema import BertConfig, T5Config
from taixue.pretrain.export.config import config_from_hf, config_to_hf, hf_class
from taixue.pretrain.export.mapping import name_map, parameter_shapes, state_to_hf
from taixue.pretrain.models import FAMILIES
from taixue.pretrain.models.albert.config import AlbertConfig
from taixue.pretrain.models.mt5.config import MT5Config
from taixue.pretrain.models.umt5.config import UMT5Config

from ...parity.models import random_state, skip_unless_right
from .conftest import BERT

SIZES: dict[str, T5Config | BertConfig] = {
    "t5-base": T5Config(d_model=768, d_ff=3072, num_heads=12, num_encoder_layers=12, num_decoder_layers=12, ffn="relu",
                        tie_embeddings=True),
    "t5-v1_1-xxl": T5Config(d_model=4096, d_ff=10240, num_heads=64, num_encoder_layers=24, num_decoder_layers=24),
    "lopsided": T5Config(num_encoder_layers=11, num_decoder_layers=2, relative_buckets=16, relative_max_distance=64),
    "mt5-small": MT5Config(),
    "umt5-small": UMT5Config(),
    "umt5-lopsided": UMT5Config(num_encoder_layers=1, num_decoder_layers=11, tie_embeddings=True),
    "bert-base": BertConfig(),
    "megatron-bert-1.3b": BertConfig(d_model=2048, d_ff=8192, num_heads=8, num_layers=24, norm="pre"),
    "albert-base": AlbertConfig(),
    "albert-xxlarge": AlbertConfig(d_model=4096, d_ff=16384, num_heads=64, dropout=0.0),
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_same_parameters_as_transformers(size: str) -> None:
    config = SIZES[size]
    raw = config_to_hf(config, pad_id=0, eos_id=1, dtype="float32")
    with torch.device("meta"):
        model = getattr(transformers, hf_class(config))(AutoConfig.for_model(**raw))
    theirs = {name: tuple(value.shape) for name, value in model.named_parameters()}
    if FAMILIES.of(config).tokenizer == "t5" and not config.tie_embeddings:
        theirs["lm_head.weight"] = theirs["shared.weight"]  # transformers ties it until weights are loaded
    names = name_map(config)
    ours = parameter_shapes(config)
    assert {names.to_hf(name): shape for name, shape in ours.items()} == theirs
    assert [names.from_hf(names.to_hf(name)) for name in ours] == list(ours)


@pytest.mark.parametrize("size", SIZES)
def test_configs_go_both_ways(size: str) -> None:
    config = SIZES[size]
    skip_unless_right(config)
    raw = config_to_hf(config, pad_id=0, eos_id=1, dtype="float32")
    assert config_from_hf(raw, tensors={}, where="config.json") == config
    resaved = AutoConfig.for_model(**raw).to_dict()  # as transformers writes it after loading
    assert config_from_hf(resaved, tensors={}, where="config.json") == config


def test_a_state_that_does_not_fit_is_refused() -> None:
    state = random_state(BERT)
    del state["pooler.bias"]
    state["layers.2.ffn.wi.bias"] = torch.zeros(48)
    with pytest.raises(
        UserError, match=r"(?s)checkpoint: .*\(2\).*layers\.2.*unknown.*pooler\.bias: missing"
    ):
        state_to_hf(BERT, state)
