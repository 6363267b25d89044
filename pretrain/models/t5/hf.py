"""T5 in Hugging Face's form, and what its relatives share of it. No torch here.

tie_word_embeddings needs care. In the format it says two things: one weight for embedding and LM head, and logits
scaled by D^-0.5. transformers 5 reads it only as "scaled?" (and writes scale_decoder_outputs), ties always, and unties
when the file holds two different tensors. Ours is one switch for both, as in the papers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taixue.base import UserError

from .. import linguistic_config
from ..hugging_face import Fields, HuggingFace, NameMap, ours, theirs, validated
from .config import T5Config

if TYPE_CHECKING:
    from torch import Tensor

NAMES = NameMap(
    {
        "shared.weight": "shared.weight",
        "lm_head.weight": "lm_head.weight",
        "encoder.relative_bias.weight": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "encoder.layers.{i}.self_attention_norm.weight": "encoder.block.{i}.layer.0.layer_norm.weight",
        "encoder.layers.{i}.self_attention.{x}.weight": "encoder.block.{i}.layer.0.SelfAttention.{x}.weight",
        "encoder.layers.{i}.ffn_norm.weight": "encoder.block.{i}.layer.1.layer_norm.weight",
        "encoder.layers.{i}.ffn.{x}.weight": "encoder.block.{i}.layer.1.DenseReluDense.{x}.weight",
        "encoder.final_norm.weight": "encoder.final_layer_norm.weight",
        "decoder.relative_bias.weight": "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "decoder.layers.{i}.self_attention_norm.weight": "decoder.block.{i}.layer.0.layer_norm.weight",
        "decoder.layers.{i}.self_attention.{x}.weight": "decoder.block.{i}.layer.0.SelfAttention.{x}.weight",
        "decoder.layers.{i}.cross_attention_norm.weight": "decoder.block.{i}.layer.1.layer_norm.weight",
        "decoder.layers.{i}.cross_attention.{x}.weight": "decoder.block.{i}.layer.1.EncDecAttention.{x}.weight",
        "decoder.layers.{i}.ffn_norm.weight": "decoder.block.{i}.layer.2.layer_norm.weight",
        "decoder.layers.{i}.ffn.{x}.weight": "decoder.block.{i}.layer.2.DenseReluDense.{x}.weight",
        "decoder.final_norm.weight": "decoder.final_layer_norm.weight",
    },
    copies={
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
        "lm_head.weight": "shared.weight",
    },
    # the published t5-* files hold a bias table of cross-attention that T5 never had
    unused=frozenset({"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"}),
    wrapped="transformer.",  # of T5ForSequenceClassification and T5ForTokenClassification
    of_tasks=("classification_head.", "classifier.", "qa_outputs."),
)

FIELDS = (
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

_EXAMPLE = """\
Blanks in the text are `<extra_id_0>`, `<extra_id_1>`, ...; the model writes what belongs into them:

```python
inputs = tokenizer("今天天气很<extra_id_0>,我们去公园散步。", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=20)[0]))
```

`dropout_rate` in config.json is what pretraining used"""

_RESIZING = """

The embedding and the output layer are two matrices. transformers 5 makes them one when it resizes them, and what the
output layer has learned is lost, unless it is told before:

```python
model.config.tie_word_embeddings = False
model.resize_token_embeddings(len(tokenizer))
```"""


def _to_config(config: T5Config, pad_id: int, eos_id: int) -> dict[str, Any]:
    return theirs(config, FIELDS) | {
        "tie_word_embeddings": config.tie_embeddings,
        "is_encoder_decoder": True,
        "decoder_start_token_id": pad_id,
        "eos_token_id": eos_id,
    }


def fields(raw: Mapping[str, Any], rows: Fields, where: str) -> dict[str, Any]:
    """Our fields but tie_embeddings, from the contents of a config.json. UserError where it says of the feed-forward
    layers two things: transformers takes dense_act_fn and is_gated_act before what feed_forward_proj says."""
    values = ours(raw, rows)
    computed = {
        "dense_act_fn": "gelu_new" if values["ffn"] == "gated-gelu" else values["ffn"].rpartition("-")[2]
    }
    computed["is_gated_act"] = values["ffn"].startswith("gated-")
    for name, expected in computed.items():
        if values["ffn"] in ("gated-gelu", "relu") and raw.get(name, expected) != expected:
            raise UserError(
                f"{where}: {name} is {raw[name]!r}, feed_forward_proj {values['ffn']!r} says {expected!r}; legal: "
                "gated-gelu with dense_act_fn gelu_new, relu with relu"
            )
    return values | {"num_decoder_layers": values["num_decoder_layers"] or values["num_encoder_layers"]}


def is_scaled(raw: Mapping[str, Any], tensors: Mapping[str, "Tensor"], where: str) -> bool:
    """Whether logits are scaled, which says that there is one weight. UserError where there are two."""
    scaled = raw.get("scale_decoder_outputs", raw.get("tie_word_embeddings") is not False)
    names = ("shared.weight", *(name for name in NAMES.copies if name != "lm_head.weight"))
    head, shared = tensors.get("lm_head.weight"), next((tensors[n] for n in names if n in tensors), None)
    if scaled and head is not None and shared is not None and not head.equal(shared):
        raise UserError(
            f"{where}: logits are scaled (tie_word_embeddings is not false) and lm_head.weight differs from "
            "shared.weight; T5 v1.0 has scaled logits and one weight, v1.1 unscaled logits and two. "
            'For v1.1, write "tie_word_embeddings": false'
        )
    return bool(scaled)


def _from_config(raw: Mapping[str, Any], tensors: Mapping[str, "Tensor"], where: str) -> T5Config:
    values = fields(raw, FIELDS, where) | {"tie_embeddings": is_scaled(raw, tensors, where)}
    return validated(T5Config, values, FIELDS, where)


def _complete(config: T5Config, tensors: Mapping[str, "Tensor"]) -> Mapping[str, "Tensor"]:
    """transformers 5 ties T5 v1.1 until training unties it, and then writes one tensor for both."""
    if config.tie_embeddings or "lm_head.weight" in tensors or "shared.weight" not in tensors:
        return tensors
    return {**tensors, "lm_head.weight": tensors["shared.weight"].clone()}


def _generation(config: T5Config, pad_id: int, eos_id: int) -> dict[str, Any]:
    return {
        "decoder_start_token_id": pad_id,
        "eos_token_id": eos_id,
        "pad_token_id": pad_id,
        # transformers makes as many caches as the encoder has layers and fails in a deeper decoder
        "use_cache": config.num_decoder_layers <= config.num_encoder_layers,
    }


def _example(config: T5Config, sentence_order: bool) -> str:
    usual = "; fine-tuning usually wants 0.1." if config.dropout == 0 else "."
    return _EXAMPLE + usual + ("" if config.tie_embeddings else _RESIZING)


HF = HuggingFace(
    reads=("t5",),
    model_type=lambda config: "t5",
    classes={"t5": "T5ForConditionalGeneration"},
    auto_class="AutoModelForSeq2SeqLM",
    names=lambda config: NAMES,
    to_config=_to_config,
    from_config=_from_config,
    complete=_complete,
    generation=_generation,
    inputs=("decoder_input_ids",),
    outputs=("logits",),
    left_out=lambda config: linguistic_config.left_out(config.features),
    example=_example,
)
