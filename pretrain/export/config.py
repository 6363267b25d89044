"""Model configs in both directions: ours <-> the contents of Hugging Face's config.json.

T5's tie_word_embeddings needs care. In the format it says two things: one weight for embedding and LM head, and
logits scaled by D^-0.5. transformers 5 reads it only as "scaled?" (and writes scale_decoder_outputs), ties always,
and unties when the file holds two different tensors. mT5 never scales there. Ours is one switch for both, as in the
papers.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from taixue import UserError

from ..config.schema import BertConfig, T5Config

Config = TypeVar("Config", T5Config, BertConfig)

# Rows: field of ours, field of HF's, HF's default (used when an old config.json leaves it out).
_T5_FIELDS = (
    ("vocab_size", "vocab_size", 32128),
    ("d_model", "d_model", 512),
    ("d_kv", "d_kv", 64),
    ("d_ff", "d_ff", 2048),
    ("num_heads", "num_heads", 8),
    ("num_encoder_layers", "num_layers", 6),
    ("num_decoder_layers", "num_decoder_layers", None),
    ("ffn", "feed_forward_proj", "relu"),
    ("relative_buckets", "relative_attention_num_buckets", 32),
    ("relative_max_distance", "relative_attention_max_distance", 128),
    ("layer_norm_eps", "layer_norm_epsilon", 1e-6),
    ("dropout", "dropout_rate", 0.1),
)
_BERT_FIELDS = (
    ("vocab_size", "vocab_size", 30522),
    ("d_model", "hidden_size", 768),
    ("d_ff", "intermediate_size", 3072),
    ("num_heads", "num_attention_heads", 12),
    ("num_layers", "num_hidden_layers", 12),
    ("activation", "hidden_act", "gelu"),
    ("max_positions", "max_position_embeddings", 512),
    ("token_types", "type_vocab_size", 2),
    ("layer_norm_eps", "layer_norm_eps", 1e-12),
    ("dropout", "hidden_dropout_prob", 0.1),
)
# What a BERT here can only be; an absent field means the same.
_BERT_FIXED = (("position_embedding_type", "absolute"), ("is_decoder", False))

HF_CLASSES = {
    "t5": "T5ForConditionalGeneration",
    "bert": "BertForPreTraining",
    "megatron-bert": "MegatronBertForPreTraining",
}


def model_type(config: T5Config | BertConfig) -> str:
    """HF's model_type of `config`: a key of HF_CLASSES."""
    if isinstance(config, T5Config):
        return "t5"
    return "bert" if config.norm == "post" else "megatron-bert"


def config_to_hf(
    config: T5Config | BertConfig, *, pad_id: int, eos_id: int | None, dtype: str
) -> dict[str, Any]:
    """Contents of config.json, as transformers 4 and 5 read it alike.

    dtype is "float32" or "bfloat16"; eos_id is None for BERT.
    """
    kind = model_type(config)
    fields = _T5_FIELDS if isinstance(config, T5Config) else _BERT_FIELDS
    result: dict[str, Any] = {"architectures": [HF_CLASSES[kind]], "model_type": kind}
    result |= {theirs: getattr(config, ours) for ours, theirs, _ in fields}
    if isinstance(config, T5Config):
        result |= {
            "tie_word_embeddings": config.tie_embeddings,
            "is_encoder_decoder": True,
            "decoder_start_token_id": pad_id,
            "eos_token_id": eos_id,
        }
    else:
        result |= dict(_BERT_FIXED) | {
            "attention_probs_dropout_prob": config.dropout,
            "tie_word_embeddings": True,
        }
    return result | {"pad_token_id": pad_id, "torch_dtype": dtype}


def config_from_hf(raw: Mapping[str, Any], own_lm_head: bool, where: str) -> T5Config | BertConfig:
    """Our config for the contents of a config.json.

    own_lm_head: whether the weights hold an LM head that differs from the embedding. Dropout of hidden states and
    of attention weights is one number here; BERT's hidden_dropout_prob is taken. Raises UserError on what we cannot
    be.
    """
    kind = raw.get("model_type")
    if kind in ("t5", "mt5"):
        return _t5_from_hf(raw, own_lm_head, where)
    if kind in ("bert", "megatron-bert"):
        return _bert_from_hf(raw, where)
    raise UserError(f"{where}: model_type {kind!r}; legal: t5, mt5, bert, megatron-bert")


def _t5_from_hf(raw: Mapping[str, Any], own_lm_head: bool, where: str) -> T5Config:
    values = _fields(raw, _T5_FIELDS)
    values["num_decoder_layers"] = values["num_decoder_layers"] or values["num_encoder_layers"]
    if raw["model_type"] == "mt5":
        scaled = False
        values["ffn"] = raw.get("feed_forward_proj", "gated-gelu")
    else:
        scaled = raw.get("scale_decoder_outputs", raw.get("tie_word_embeddings") is not False)
    if scaled and own_lm_head:
        raise UserError(
            f"{where}: logits are scaled (tie_word_embeddings is not false) and lm_head.weight differs from "
            "shared.weight; T5 v1.0 has scaled logits and one weight, v1.1 unscaled logits and two. "
            'For v1.1, write "tie_word_embeddings": false'
        )
    return _validated(T5Config, {**values, "tie_embeddings": scaled}, where)


def _bert_from_hf(raw: Mapping[str, Any], where: str) -> BertConfig:
    for name, legal in _BERT_FIXED:
        if raw.get(name, legal) != legal:
            raise UserError(f"{where}: {name} is {raw[name]!r}; legal: {legal!r}")
    norm = "post" if raw["model_type"] == "bert" else "pre"
    return _validated(BertConfig, {**_fields(raw, _BERT_FIELDS), "norm": norm}, where)


def _fields(raw: Mapping[str, Any], rows: tuple[tuple[str, str, Any], ...]) -> dict[str, Any]:
    return {ours: raw.get(theirs, default) for ours, theirs, default in rows}


def _validated(cls: type[Config], values: dict[str, Any], where: str) -> Config:
    try:
        return cls(**values)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}; was given {e['input']!r}" for e in error.errors()
        ]
        raise UserError(f"{where}: " + "; ".join(lines)) from None
