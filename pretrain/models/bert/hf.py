"""BERT and Megatron-BERT in Hugging Face's form. No torch here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taixue.base import UserError

from .. import linguistic_config
from ..hugging_face import HuggingFace, NameMap, ours, present, theirs, validated
from .config import BertConfig
from .heads import auxiliary

if TYPE_CHECKING:
    from torch import Tensor

_SHARED = {
    "embeddings.word.weight": "bert.embeddings.word_embeddings.weight",
    "embeddings.position.weight": "bert.embeddings.position_embeddings.weight",
    "embeddings.token_type.weight": "bert.embeddings.token_type_embeddings.weight",
    "layers.{i}.attention.q.{x}": "bert.encoder.layer.{i}.attention.self.query.{x}",
    "layers.{i}.attention.k.{x}": "bert.encoder.layer.{i}.attention.self.key.{x}",
    "layers.{i}.attention.v.{x}": "bert.encoder.layer.{i}.attention.self.value.{x}",
    "layers.{i}.attention.o.{x}": "bert.encoder.layer.{i}.attention.output.dense.{x}",
    "layers.{i}.ffn.wi.{x}": "bert.encoder.layer.{i}.intermediate.dense.{x}",
    "layers.{i}.ffn.wo.{x}": "bert.encoder.layer.{i}.output.dense.{x}",
    "mlm_transform.dense.{x}": "cls.predictions.transform.dense.{x}",
    "mlm_transform.norm.{x}": "cls.predictions.transform.LayerNorm.{x}",
    "lm_head.bias": "cls.predictions.bias",
    "pooler.{x}": "bert.pooler.dense.{x}",
    "sop_head.{x}": "cls.seq_relationship.{x}",
}
_POST = {
    "embeddings.norm.{x}": "bert.embeddings.LayerNorm.{x}",
    "layers.{i}.attention_norm.{x}": "bert.encoder.layer.{i}.attention.output.LayerNorm.{x}",
    "layers.{i}.ffn_norm.{x}": "bert.encoder.layer.{i}.output.LayerNorm.{x}",
}
_PRE = {
    "layers.{i}.attention_norm.{x}": "bert.encoder.layer.{i}.attention.ln.{x}",
    "layers.{i}.ffn_norm.{x}": "bert.encoder.layer.{i}.ln.{x}",
    "final_norm.{x}": "bert.encoder.ln.{x}",
}


def _names(rows: Mapping[str, str]) -> NameMap:
    return NameMap(
        {**_SHARED, **rows},
        copies={
            "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
            "cls.predictions.decoder.bias": "cls.predictions.bias",
        },
        unused=frozenset({"bert.embeddings.position_ids"}),
        # folders of BertForMaskedLM lack the first two, those of BertModel (sentence encoders) all but the pooler
        may_lack=("pooler.", "sop_head.", "mlm_transform.", "lm_head."),
        inside="bert.",
        of_tasks=("classifier.", "qa_outputs."),
    )


NAMES = {"post": _names(_POST), "pre": _names(_PRE)}
"""By where the norms are."""

_FIELDS = (
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
_FIXED = {"position_embedding_type": "absolute", "is_decoder": False}
_TYPES = {"post": "bert", "pre": "megatron-bert"}

_EXAMPLE = """\
`prediction_logits` are the masked-language-model scores; `seq_relationship_logits` are """


def _to_config(config: BertConfig, pad_id: int, eos_id: int) -> dict[str, Any]:
    fixed = {**_FIXED, "attention_probs_dropout_prob": config.dropout, "tie_word_embeddings": True}
    return theirs(config, _FIELDS) | fixed


def _from_config(raw: Mapping[str, Any], tensors: Mapping[str, "Tensor"], where: str) -> BertConfig:
    """Dropout of hidden states and of attention weights is one number here; hidden_dropout_prob is taken."""
    for name, legal in _FIXED.items():
        if raw.get(name, legal) != legal:
            raise UserError(f"{where}: {name} is {raw[name]!r}; legal: {legal!r}")
    norm = next(norm for norm, kind in _TYPES.items() if kind == raw["model_type"])
    return validated(BertConfig, {**ours(raw, _FIELDS), "norm": norm}, _FIELDS, where)


def _left_out(config: BertConfig) -> list[str]:
    heads = [(f"{head.title} head", count) for head, count in auxiliary(config.heads)]
    return linguistic_config.left_out(config.features) + present(
        [("entity knowledge", config.knowledge_width), *heads]
    )


def _example(config: BertConfig, sentence_order: bool) -> str:
    if sentence_order:
        return _EXAMPLE + "sentence order (0 in order, 1 swapped)."
    return _EXAMPLE + "untrained: the run had no sentence-order task."


HF = HuggingFace(
    reads=("bert", "megatron-bert"),
    model_type=lambda config: _TYPES[config.norm],
    classes={"bert": "BertForPreTraining", "megatron-bert": "MegatronBertForPreTraining"},
    auto_class="AutoModelForPreTraining",
    names=lambda config: NAMES[config.norm],
    to_config=_to_config,
    from_config=_from_config,
    generation=lambda config, pad_id, eos_id: None,
    inputs=("token_type_ids",),
    outputs=("prediction_logits", "seq_relationship_logits"),
    left_out=_left_out,
    example=_example,
    named_by=("BertForMaskedLM", "MegatronBertForMaskedLM"),
)
