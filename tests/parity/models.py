"""Pairs of the same random weights: our model and Hugging Face's, small enough for exhaustive comparison."""

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel

from taixue.base import UserError
from taixue.pretrain.config.schema import BertConfig, T5Config
from taixue.pretrain.export.config import config_to_hf, hf_class
from taixue.pretrain.export.mapping import parameter_shapes, state_to_hf
from taixue.pretrain.export.proof import check_transformers
from taixue.pretrain.models import FAMILIES
from taixue.pretrain.models.albert.config import AlbertConfig
from taixue.pretrain.models.mt5.config import MT5Config
from taixue.pretrain.models.umt5.config import UMT5Config

T5_V1_0 = T5Config(
    vocab_size=131, d_model=48, d_kv=12, d_ff=80, num_heads=3, num_encoder_layers=3, num_decoder_layers=2,
    ffn="relu", tie_embeddings=True, relative_buckets=8, relative_max_distance=12,
)  # fmt: skip
T5_V1_1 = T5_V1_0.model_copy(
    update={
        "ffn": "gated-gelu",
        "tie_embeddings": False,
        "num_encoder_layers": 2,
        "num_decoder_layers": 3,
        "d_ff": 72,
    }
)
_MULTILINGUAL: dict[str, Any] = T5_V1_1.model_dump(exclude={"family"}) | {"d_ff": 88, "num_encoder_layers": 3}
MT5 = MT5Config(**_MULTILINGUAL)
UMT5 = UMT5Config(**_MULTILINGUAL)
UMT5_TIED = UMT5.model_copy(update={"ffn": "relu", "tie_embeddings": True, "num_decoder_layers": 2})
BERT = BertConfig(
    vocab_size=131, d_model=48, d_ff=80, num_heads=4, num_layers=3, norm="post", max_positions=40, dropout=0.0
)
MEGATRON_BERT = BERT.model_copy(update={"norm": "pre", "activation": "gelu_new"})
ALBERT = AlbertConfig(
    vocab_size=131, embedding_size=20, d_model=48, d_ff=80, num_heads=4, num_layers=3, max_positions=40, dropout=0.0
)  # fmt: skip
CONFIGS: dict[str, T5Config | BertConfig] = {
    "t5-v1.0": T5_V1_0,
    "t5-v1.1": T5_V1_1,
    "mt5": MT5,
    "umt5": UMT5,
    "umt5-tied": UMT5_TIED,
    "bert": BERT,
    "megatron-bert": MEGATRON_BERT,
    "albert": ALBERT,
}


def skip_unless_right(config: T5Config | BertConfig) -> None:
    """Skip where the installed transformers computes this model wrongly."""
    try:
        check_transformers(config)
    except UserError as error:
        pytest.skip(str(error))


def random_state(config: T5Config | BertConfig, seed: int = 0) -> dict[str, Tensor]:
    """Every tensor random, norms and biases too, so that no two parameters could be exchanged unnoticed."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in parameter_shapes(config).items():
        value = torch.randn(shape, generator=generator)
        centre = 1.0 if name.endswith("norm.weight") else 0.0
        scale = 0.3 if len(shape) == 1 else shape[-1] ** -0.5
        if FAMILIES.of(config).tokenizer == "t5" and name.endswith(".q.weight"):
            scale *= config.d_kv**-0.5  # T5 has 1/sqrt(K) here and not in the scores
        state[name] = centre + scale * value
    return state


def hf_model(config: T5Config | BertConfig, state: dict[str, Tensor], attention: str) -> PreTrainedModel:
    """HF's model with the weights `state` (our names), in evaluation mode."""
    raw: dict[str, Any] = config_to_hf(config, pad_id=0, eos_id=1, dtype="float32")
    hf_config = AutoConfig.for_model(**raw)
    model = getattr(transformers, hf_class(config))._from_config(hf_config, attn_implementation=attention)
    if FAMILIES.of(config).tokenizer == "t5" and not config.tie_embeddings:
        model.lm_head.weight = nn.Parameter(
            torch.empty(config.vocab_size, config.d_model)
        )  # HF ties v1.1 as well
    weights = state_to_hf(config, state)
    _, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected
    parameters = dict(model.named_parameters())  # without the second names of tied ones
    assert parameters.keys() == weights.keys(), parameters.keys() ^ weights.keys()
    return model.eval()
