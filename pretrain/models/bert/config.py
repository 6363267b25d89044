"""The section of a BERT."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from taixue.base.section import Fraction, Harmless, PretrainingOnly, Section

from ..linguistic_config import Features, FeaturesConfig
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
    dropout: Annotated[Fraction, Harmless()] = 0.1
    features: Features = FeaturesConfig()
    heads: Annotated[HeadsConfig, PretrainingOnly(("heads",))] = HeadsConfig()
    knowledge_width: Annotated[NonNegativeInt, PretrainingOnly(("knowledge", "relational"))] = Field(
        0, description="size of the entity vectors of knowledge.vectors; 0: takes none"
    )
