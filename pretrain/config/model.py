"""The shape of a model: sections of the configuration."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from taixue.base.section import Fraction, Harmless, PretrainingOnly, Section


class FeaturesConfig(Section):
    """Linguistic inputs of the (T5: encoder's) token embeddings and self-attention, from the annotation sidecar.

    Each starts without effect, so that a warm start is unchanged, and is left out of exports.
    """

    pos_tags: NonNegativeInt = Field(0, description="rows of the part-of-speech table; 0: no such input")
    roles: NonNegativeInt = Field(0, description="rows of the semantic-role table; 0: no such input")
    word_bias: bool = Field(False, description="learned attention bias between tokens of one word")
    clause_bias: bool = Field(False, description="learned attention bias between tokens of one clause")
    bias_layers: tuple[NonNegativeInt, ...] = Field(
        (), description="layers that learn these biases; none named: all"
    )
    bias_heads: NonNegativeInt = Field(
        0, description="heads of such a layer that do, evenly spaced; 0: every head"
    )
    dropout: Fraction = Field(0.15, description="share of the samples that are fed without these inputs")


Features = Annotated[FeaturesConfig, PretrainingOnly(("features", "group_bias"))]


class HeadsConfig(Section):
    """Auxiliary heads of a BERT: the number of classes of each, 0 for no such head. Left out of exports."""

    pos: NonNegativeInt = Field(0, description="part of speech of each token")
    ne: NonNegativeInt = Field(0, description="entity type of each token")
    relation: NonNegativeInt = Field(0, description="relation class of a removed connective, from [CLS]")


class T5Config(Section):
    """Shape of a T5. v1.0: ffn relu, tie_embeddings true. v1.1 and mT5: gated-gelu, untied."""

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


ModelConfig = Annotated[T5Config | BertConfig, Field(discriminator="family")]
