"""The section of a T5."""

from typing import Annotated, Literal

from pydantic import PositiveFloat, PositiveInt

from taixue.base.section import Fraction, Harmless, Section

from ..linguistic_config import Features, FeaturesConfig


class T5Config(Section):
    """Shape of a T5. v1.0: ffn relu, tie_embeddings true. v1.1: gated-gelu, untied."""

    family: Literal["t5"] = "t5"
    vocab_size: PositiveInt = 32128
    d_model: PositiveInt = 512
    d_kv: PositiveInt = 64
    d_ff: PositiveInt = 1024
    num_heads: PositiveInt = 6
    num_encoder_layers: PositiveInt = 8
    num_decoder_layers: PositiveInt = 8
    ffn: Literal["gated-gelu", "relu"] = "gated-gelu"
    tie_embeddings: bool = False
    relative_buckets: PositiveInt = 32
    relative_max_distance: PositiveInt = 128
    layer_norm_eps: PositiveFloat = 1e-6
    dropout: Annotated[Fraction, Harmless()] = 0.0
    features: Features = FeaturesConfig()
