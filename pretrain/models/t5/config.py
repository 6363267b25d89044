"""The section of a T5."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from taixue.base.section import Fraction, Harmless, Layers, Section, Width

from ..linguistic_config import Features, FeaturesConfig


class T5Config(Section):
    """Shape of a T5. v1.0: ffn relu, tie_embeddings true. v1.1: gated-gelu, untied."""

    family: Literal["t5"] = "t5"
    vocab_size: Width = Field(
        32128, description="rows of the embedding; at least the tokenizer's, a multiple of parallel.tp"
    )
    d_model: Width = Field(512, description="width of the residual stream")
    d_kv: Width = Field(64, description="width of a head")
    d_ff: Width = Field(1024, description="width inside the feed-forward layers")
    num_heads: Width = Field(6, description="attention heads; num_heads x d_kv may differ from d_model")
    num_encoder_layers: Layers = Field(8, description="layers of the encoder")
    num_decoder_layers: Layers = Field(8, description="layers of the decoder")
    ffn: Literal["gated-gelu", "relu"] = Field(
        "gated-gelu", description="activation of the feed-forward layers; gated-gelu has two matrices in"
    )
    tie_embeddings: bool = Field(
        False, description="the output layer is the embedding, its input scaled by d_model ** -0.5"
    )
    relative_buckets: Width = Field(32, description="rows of the position-bias table")
    relative_max_distance: PositiveInt = Field(128, description="distances from here on share a bucket")
    layer_norm_eps: PositiveFloat = Field(1e-6, description="added to the mean square")
    dropout: Annotated[Fraction, Harmless()] = Field(
        0.0, description="on embeddings, sub-layers, attention and feed-forward activations"
    )
    features: Features = FeaturesConfig()
