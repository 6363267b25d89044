"""Linguistic inputs of a model: their section, and what follows from it without any tensor. No torch here."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, NonNegativeInt

from taixue.base.section import Fraction, PretrainingOnly, Section

from .family import Switch, Table
from .hugging_face import present


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

    @property
    def kinds(self) -> int:
        """Kinds of groups that bias attention: words, clauses."""
        return int(self.word_bias) + int(self.clause_bias)

    def biases(self, layer: int) -> bool:
        """Whether layer number `layer` learns a group bias."""
        return self.kinds > 0 and (not self.bias_layers or layer in self.bias_layers)


Features = Annotated[FeaturesConfig, PretrainingOnly(("features", "group_bias"))]
"""Type of the key `features` of a model."""


def switch(features: FeaturesConfig) -> Switch:
    """What objective.features must be."""
    takes = bool(features.pos_tags or features.roles or features.kinds)
    return Switch(takes, f"model.features takes {'some' if takes else 'none'}")


def tables(features: FeaturesConfig) -> dict[str, Table]:
    """Their tables of names."""
    return {
        "features.pos_tags": Table("pos", "parts of speech", features.pos_tags),
        "features.roles": Table("role", "roles", features.roles),
    }


def left_out(features: FeaturesConfig) -> list[str]:
    """What an exported folder lacks, in words."""
    parts = {
        "part-of-speech embeddings": features.pos_tags,
        "semantic-role embeddings": features.roles,
        "word bias in attention": features.word_bias,
        "clause bias in attention": features.clause_bias,
    }
    return present(parts.items())


def small(features: FeaturesConfig, layers: int, heads: int) -> FeaturesConfig:
    """The same options for a small model of so many (T5: encoder) layers and heads."""
    shape: dict[str, object] = {
        "pos_tags": min(features.pos_tags, 6),
        "roles": min(features.roles, 6),
        "bias_heads": heads // 2 if features.bias_heads else 0,
        "bias_layers": (min(1, layers - 1),) if features.bias_layers else (),
    }
    return features.model_copy(update=shape)


def problems(features: FeaturesConfig, layers: int, heads: int, tp: int) -> Iterator[str]:
    """What contradicts a model of so many (T5: encoder) layers and heads, split over tp ranks."""
    biased = features.bias_heads
    if features.bias_layers and max(features.bias_layers) >= layers:
        yield (
            f"model.features.bias_layers: {max(features.bias_layers)} is no layer of {layers}; "
            f"legal: 0 to {layers - 1}"
        )
    if biased and (heads % biased or biased % tp):
        legal = [n for n in range(tp, heads + 1, tp) if heads % n == 0]
        yield (
            f"model.features.bias_heads: {biased} should divide the {heads} heads and be a multiple of "
            f"parallel.tp {tp}; legal: {', '.join(map(str, legal))}"
        )
    if (biased or features.bias_layers) and not features.kinds:
        yield "model.features: bias_layers and bias_heads without word_bias or clause_bias; set one of these to true"
