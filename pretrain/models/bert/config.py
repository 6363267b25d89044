"""The section of a BERT."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from taixue.base.section import Fraction, Section

from ..linguistic_config import FeaturesConfig
from .heads import HeadsConfig


class BertConfig(Section):
    """Shape of a BERT. norm post: BERT as published; norm pre: Megatron-BERT (LayerNorm before each sub-layer)."""

    family: Literal["bert"] = "bert"
    vocab_size: PositiveInt = 21128
    d_model: PositiveInt = 768
    d_ff: PositiveInt = 3072
    num_heads: PositiveInt = 12
    num_layers: PositiveInt = 12
    norm: Literal["post", "pre"] = "post"
    activation: Literal["gelu", "gelu_new", "relu"] = Field(
        "gelu", description="gelu_new: the tanh approximation"
    )
    max_positions: PositiveInt = 512
    token_types: PositiveInt = 2
    layer_norm_eps: PositiveFloat = 1e-12
    dropout: Fraction = 0.1
    features: FeaturesConfig = FeaturesConfig()
    heads: HeadsConfig = HeadsConfig()
    knowledge_width: NonNegativeInt = Field(
        0, description="size of the entity vectors of knowledge.vectors; 0: takes none"
    )
