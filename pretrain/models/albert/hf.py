"""ALBERT in Hugging Face's form. No torch here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taixue.base import UserError

from ..bert.hf import HF as BERT
from ..hugging_face import HuggingFace, NameMap, ours, theirs, validated
from .config import AlbertConfig

if TYPE_CHECKING:
    from torch import Tensor

_LAYER = "albert.encoder.albert_layer_groups.0.albert_layers.0"

NAMES = NameMap(
    {
        "embeddings.word.weight": "albert.embeddings.word_embeddings.weight",
        "embeddings.position.weight": "albert.embeddings.position_embeddings.weight",
        "embeddings.token_type.weight": "albert.embeddings.token_type_embeddings.weight",
        "embeddings.norm.{x}": "albert.embeddings.LayerNorm.{x}",
        "projection.{x}": "albert.encoder.embedding_hidden_mapping_in.{x}",
        "layers.0.attention.q.{x}": f"{_LAYER}.attention.query.{{x}}",
        "layers.0.attention.k.{x}": f"{_LAYER}.attention.key.{{x}}",
        "layers.0.attention.v.{x}": f"{_LAYER}.attention.value.{{x}}",
        "layers.0.attention.o.{x}": f"{_LAYER}.attention.dense.{{x}}",
        "layers.0.attention_norm.{x}": f"{_LAYER}.attention.LayerNorm.{{x}}",
        "layers.0.ffn.wi.{x}": f"{_LAYER}.ffn.{{x}}",
        "layers.0.ffn.wo.{x}": f"{_LAYER}.ffn_output.{{x}}",
        "layers.0.ffn_norm.{x}": f"{_LAYER}.full_layer_layer_norm.{{x}}",
        "mlm_transform.dense.{x}": "predictions.dense.{x}",
        "mlm_transform.norm.{x}": "predictions.LayerNorm.{x}",
        "lm_head.bias": "predictions.bias",
        "pooler.{x}": "albert.pooler.{x}",
        "sop_head.{x}": "sop_classifier.classifier.{x}",
    },
    copies={
        "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
    },
    unused=frozenset({"albert.embeddings.position_ids"}),
    # folders of AlbertForMaskedLM lack the first two, those of AlbertModel all but the pooler
    may_lack=("pooler.", "sop_head.", "mlm_transform.", "lm_head."),
    inside="albert.",
    of_tasks=("classifier.", "qa_outputs."),
)

_FIELDS = (
    ("vocab_size", "vocab_size", 30000),
    ("embedding_size", "embedding_size", 128),
    ("d_model", "hidden_size", 4096),
    ("d_ff", "intermediate_size", 16384),
    ("num_heads", "num_attention_heads", 64),
    ("num_layers", "num_hidden_layers", 12),
    ("activation", "hidden_act", "gelu_new"),
    ("max_positions", "max_position_embeddings", 512),
    ("token_types", "type_vocab_size", 2),
    ("layer_norm_eps", "layer_norm_eps", 1e-12),
    ("dropout", "hidden_dropout_prob", 0.0),
)
# What an ALBERT here can only be; an absent field means the same.
_FIXED = {"num_hidden_groups": 1, "inner_group_num": 1, "position_embedding_type": "absolute"}


def _to_config(config: AlbertConfig, pad_id: int, eos_id: int) -> dict[str, Any]:
    rest = {
        "attention_probs_dropout_prob": config.dropout,
        "eos_token_id": eos_id,
        "tie_word_embeddings": True,
    }
    return theirs(config, _FIELDS) | _FIXED | rest


def _from_config(raw: Mapping[str, Any], tensors: Mapping[str, "Tensor"], where: str) -> AlbertConfig:
    """Dropout of hidden states and of attention weights is one number here; hidden_dropout_prob is taken."""
    wrong = [(name, raw[name], legal) for name, legal in _FIXED.items() if raw.get(name, legal) != legal]
    if wrong:
        found = "; ".join(f"{name} is {value!r}, legal: {legal!r}" for name, value, legal in wrong)
        raise UserError(f"{where}: {found} (one layer, applied num_hidden_layers times)")
    return validated(AlbertConfig, ours(raw, _FIELDS), _FIELDS, where)


def _example(config: AlbertConfig, sentence_order: bool) -> str:
    return BERT.example(config, sentence_order).replace("seq_relationship_logits", "sop_logits")


HF = HuggingFace(
    reads=("albert",),
    model_type=lambda config: "albert",
    classes={"albert": "AlbertForPreTraining"},
    auto_class=BERT.auto_class,
    names=lambda config: NAMES,
    to_config=_to_config,
    from_config=_from_config,
    generation=BERT.generation,
    inputs=BERT.inputs,
    outputs=("prediction_logits", "sop_logits"),
    left_out=BERT.left_out,
    example=_example,
    named_by=("AlbertForMaskedLM",),
    defaults={"bos_token_id": None, "classifier_dropout_prob": 0.1, "initializer_range": 0.02},
)
