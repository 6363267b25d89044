"""What is learned from a window of tokens: sections of the configuration."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from taixue.base.section import Length, Section, Share, Weight

DERIVED = ("features", "tag_labels", "relation_labels")
"""Switches that are null by default: a run sets them to what its model takes."""


class UnitWeights(Section):
    """How readily a unit of each type is drawn, relative to a word; 0: never as a unit of its own."""

    word: Weight = Field(1.0, description="the measure of the others")
    entity: Weight = Field(3.0, description="relative to a word")
    connective: Weight = Field(3.0, description="relative to a word")
    idiom: Weight = Field(2.0, description="relative to a word")
    clause: Weight = Field(0.2, description="what follows a connective in its clause")


class UnitCaps(Section):
    """Largest part of the masked tokens that units of each type may take."""

    word: Share = Field(1.0, description="of the masked tokens")
    entity: Share = Field(0.4, description="with less room an entity is seen in context, too")
    connective: Share = Field(1.0, description="of the masked tokens")
    idiom: Share = Field(1.0, description="of the masked tokens")
    clause: Share = Field(0.4, description="of the masked tokens")


class UnitsConfig(Section):
    """What knowledge-aware masking draws: units of the corpus's annotation, each masked as a whole."""

    weights: UnitWeights = UnitWeights()
    caps: UnitCaps = UnitCaps()
    pair_probability: Share = Field(0.5, description="both members of a pair of connectives are masked")
    longest_clause: Annotated[int, Field(ge=2)] = Field(16, description="tokens")
    idiom_tags: tuple[str, ...] = Field(("i",), description="parts of speech that are idioms")


class ObjectiveSection(Section):
    """What every objective has."""

    kind: str = ""
    input_length: Length = Field(
        512, description="tokens of a sample that the model (T5: its encoder) is fed"
    )
    units: UnitsConfig = UnitsConfig()
    documents: Literal["joined", "separate"] = Field(
        "joined", description="separate: attention stays inside each of the documents packed into a window"
    )
    features: bool | None = Field(
        None,
        description="give the model part of speech, roles, word and clause of each token; null: if it takes them",
    )
    hide_masked_tags: bool = Field(True, description="a masked token has no part of speech and no role")
    hide_masked_groups: bool = Field(False, description="a masked token belongs to no word and no clause")


SpanKind = Literal["random", "geometric", "words", "knowledge"]


class SpanCorruptionConfig(ObjectiveSection):
    """T5 span corruption. The raw window and the target length follow from the first three numbers."""

    kind: Literal["span-corruption"] = "span-corruption"
    noise_density: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.15, description="part of the window that is masked"
    )
    mean_span_length: Annotated[float, Field(ge=1.0)] = Field(
        3.0, description="tokens of a masked span, on average"
    )
    free_edges: bool = Field(
        False,
        description="random and geometric spans may lie anywhere; T5's last span ends the window, which masks the "
        "same tokens of a short window every time",
    )
    spans: SpanKind = Field(
        "random",
        description="random: T5's; geometric: none longer than longest_span; words: of whole words; knowledge: drawn "
        "as `units` says, of whole units",
    )
    longest_span: PositiveInt = Field(10, description="of geometric spans")


class PrefixLmConfig(ObjectiveSection):
    """Prefix language modelling: the input is the window's first part, the target its last."""

    kind: Literal["prefix-lm"] = "prefix-lm"
    target_share: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.25, description="part of the window that is the target"
    )


class Denoiser(Section):
    """One task of a mixture. weight: its part of the input, relative to the others. prefix: no sentinels, the target
    is the last noise_density of the text."""

    mode: Annotated[str, Field(pattern="^[RSX]?$")] = Field("R", description="its mode token; empty: none")
    spans: SpanKind | Literal["prefix"] = Field(
        "random", description="as in span-corruption; prefix: the target is the end of the text"
    )
    noise_density: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.15, description="part of the text that is the target"
    )
    mean_span_length: Annotated[float, Field(ge=1.0)] = Field(
        3.0, description="tokens of a masked span, on average"
    )
    weight: PositiveFloat = Field(1.0, description="its part of the input, relative to the others")


UL2 = (
    Denoiser(mode="R", mean_span_length=3.0, noise_density=0.15),
    Denoiser(mode="R", mean_span_length=8.0, noise_density=0.15),
    Denoiser(mode="S", spans="prefix", noise_density=0.25),
    Denoiser(mode="X", mean_span_length=3.0, noise_density=0.5),
    Denoiser(mode="X", mean_span_length=8.0, noise_density=0.5),
    Denoiser(mode="X", mean_span_length=64.0, noise_density=0.15),
    Denoiser(mode="X", mean_span_length=64.0, noise_density=0.5),
)


class Ul2Config(ObjectiveSection):
    """A mixture of denoisers (UL2, Tay et al. 2022): every sample has one stretch of text for each, side by side."""

    kind: Literal["ul2"] = "ul2"
    input_length: Length = Field(2048, description="tokens the encoder is fed, of all denoisers together")
    denoisers: Annotated[tuple[Denoiser, ...], Field(min_length=1, max_length=64)] = UL2
    longest_span: PositiveInt = Field(10, description="of geometric spans")
    mode_tokens: dict[Literal["R", "S", "X"], str] = Field(
        {}, description="pieces of the vocabulary; those not named are the tokenizer's last sentinels"
    )


class LossWeights(Section):
    """What the mean loss of each head of a BERT is multiplied by."""

    mlm: NonNegativeFloat = Field(1.0, description="masked tokens")
    sop: NonNegativeFloat = Field(1.0, description="sentence order")
    pos: NonNegativeFloat = Field(0.1, description="parts of speech")
    ne: NonNegativeFloat = Field(0.1, description="entity types")
    relation: NonNegativeFloat = Field(0.1, description="relation of a masked connective")
    answer: NonNegativeFloat = Field(1.0, description="decoding the other entity of a triple")


Masking = Literal["token", "word", "ngram", "entity", "discourse", "knowledge"]


class MlmConfig(ObjectiveSection):
    """BERT masked-language modelling: mask_probability of the real tokens, 80 % [MASK], 10 % random, 10 % kept."""

    kind: Literal["mlm"] = "mlm"
    mask_probability: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.15, description="part of the real tokens that is predicted"
    )
    sentence_order: bool = Field(True, description="sentence-order prediction on two consecutive segments")
    loss_weights: LossWeights = LossWeights()
    masking: Masking | dict[Masking, PositiveFloat] = Field(
        "token", description="what is masked as a whole; a mapping is a mixture, by weight, of samples"
    )
    replacement: Literal["auto", "token", "unit"] = Field(
        "auto", description="what shares one 80/10/10 draw; auto: units, but words token by token"
    )
    ngrams: Annotated[tuple[PositiveFloat, ...], Field(min_length=1, max_length=8)] = Field(
        (0.4, 0.3, 0.2, 0.1), description="ngram: relative frequency of 1, 2, ... words (MacBERT's)"
    )
    similar_words: str = Field(
        "", description="ngram: table term<TAB>similar terms, which take [MASK]'s place (MacBERT)"
    )
    tag_labels: bool | None = Field(
        None,
        description="labels for heads that tag parts of speech and entities; null: if the model has them",
    )
    relation_labels: bool | None = Field(
        None,
        description="label for a head that names the relation of a connective, which is masked; null: if the model "
        "has it",
    )
