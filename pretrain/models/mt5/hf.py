"""mT5 in Hugging Face's form. No torch here."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..hugging_face import Fields, validated
from ..t5 import hf as t5
from .config import MT5Config

if TYPE_CHECKING:
    from torch import Tensor

_DEFAULTS = {
    "vocab_size": 250112,
    "d_ff": 1024,
    "num_layers": 8,
    "num_heads": 6,
    "feed_forward_proj": "gated-gelu",
}
"""Of MT5Config and UMT5Config in transformers, where T5Config's differ."""

FIELDS: Fields = tuple((ours, hf, _DEFAULTS.get(hf, default)) for ours, hf, default in t5.FIELDS)


def _from_config(raw: Mapping[str, Any], tensors: Mapping[str, "Tensor"], where: str) -> MT5Config:
    """Whatever tie_word_embeddings says, an mT5 of transformers does not scale its logits."""
    return validated(MT5Config, t5.fields(raw, FIELDS, where), FIELDS, where)


HF = replace(
    t5.HF,
    reads=("mt5",),
    model_type=lambda config: "mt5",
    classes={"mt5": "MT5ForConditionalGeneration"},
    from_config=_from_config,
)
