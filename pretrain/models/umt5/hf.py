"""UMT5 in Hugging Face's form: mT5's defaults, T5's meaning of tie_word_embeddings, a table in every layer. No torch
here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..hugging_face import validated
from ..mt5.hf import FIELDS
from ..t5 import hf as t5
from .config import UMT5Config

if TYPE_CHECKING:
    from torch import Tensor

_TABLES = {
    f"{stack}.layers.{{i}}.relative_bias.weight": (
        f"{stack}.block.{{i}}.layer.0.SelfAttention.relative_attention_bias.weight"
    )
    for stack in ("encoder", "decoder")
}
# before the rows whose {x} would take these names, too
NAMES = replace(
    t5.NAMES, rows=_TABLES | {ours: hf for ours, hf in t5.NAMES.rows.items() if ".relative_bias." not in ours}
)


def _from_config(raw: Mapping[str, Any], tensors: Mapping[str, "Tensor"], where: str) -> UMT5Config:
    values = t5.fields(raw, FIELDS, where) | {"tie_embeddings": t5.is_scaled(raw, tensors, where)}
    return validated(UMT5Config, values, FIELDS, where)


HF = replace(
    t5.HF,
    reads=("umt5",),
    model_type=lambda config: "umt5",
    classes={"umt5": "UMT5ForConditionalGeneration"},
    names=lambda config: NAMES,
    from_config=_from_config,
    # 5.17 scales logits whatever tie_word_embeddings says, and its sdpa attention differs from its eager one.
    right_since="5.24",
)
