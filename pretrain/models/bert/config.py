"""The section of a BERT."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat

from taixue.base.section import Fraction, Harmless, Layers, PretrainingOnly, Section, Width

from ..linguistic_config import Features, FeaturesConfig
from .heads import HeadsConfig


class BertConfig(Section):
    """Shape of a BERT. norm post: BERT as published; norm pre: Megatron-BERT (LayerNorm before each sub-layer)."""

    family: Literal["bert"] = "bert"
    vocab_size: Width = Field(
        21128, description="rows of the embedding; at least the tokenizer's, a multiple of parallel.tp"
    )
    d_model: Width = Field(768, description="width of the residual stream")
    d_ff: Width = Field(3072, description="width inside the feed-forward layers")
    num_heads: Width = Field(12, description="attention heads; divides d_model")
    num_layers: Layers = Field(12, description="layers")
    norm: Literal["post", "pre"] = Field(
        "post", description="post: after each sub-layer, as published; pre: before it, as Megatron-BERT"
    )
    activation: Literal["gelu", "gelu_new", "relu"] = Field(
        "gelu", description="gelu_new: the tanh approximation"
    )
    max_positions: Width = Field(512, description="longest input, in tokens")
    token_types: Width = Field(2, description="rows of the segment table")
    layer_norm_eps: PositiveFloat = Field(1e-12, description="added to the variance")
    dropout: Annotated[Fraction, Harmless()] = Field(
        0.1, description="on embeddings, sub-layers and attention"
    )
    features: Features = FeaturesConfig()
    heads: Annotated[HeadsConfig, PretrainingOnly(("heads",))] = HeadsConfig()
    knowledge_width: Annotated[NonNegativeInt, PretrainingOnly(("knowledge", "relational"))] = Field(
        0, description="size of the entity vectors of knowledge.vectors; 0: takes none"
    )
