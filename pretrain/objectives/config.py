"""What is learned from a window of tokens: sections of the configuration."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from taixue.base.section import Section, Share, Weight

DERIVED = ("features", "tag_labels", "relation_labels")
"""Switches that are null by default: a run sets them to what its model takes."""


class UnitWeights(Section):
    """How readily a unit of each type is drawn, relative to a word; 0: never as a unit of its own."""

    word: Weight = 1.0
    entity: Weight = 3.0
    connective: Weight = 3.0
    idiom: Weight = 2.0
    clause: Weight = Field(0.2, description="what follows a connective in its clause")


class UnitCaps(Section):
    """Largest part of the masked tokens that units of each type may take."""

    word: Share = 1.0
    entity: Share = Field(0.4, description="with less room an entity is seen in context, too")
    connective: Share = 1.0
    idiom: Share = 1.0
    clause: Share = 0.4


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
    input_length: PositiveInt = 512
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
    noise_density: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    mean_span_length: Annotated[float, Field(ge=1.0)] = 3.0
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
    target_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.25


class Denoiser(Section):
    """One task of a mixture. weight: its part of the input, relative to the others. prefix: no sentinels, the target
    is the last noise_density of the text."""

    mode: Annotated[str, Field(pattern="^[RSX]?$")] = Field("R", description="its mode token; empty: none")
    spans: SpanKind | Literal["prefix"] = "random"
    noise_density: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    mean_span_length: Annotated[float, Field(ge=1.0)] = 3.0
    weight: PositiveFloat = 1.0


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
    input_length: PositiveInt = 2048
    denoisers: Annotated[tuple[Denoiser, ...], Field(min_length=1, max_length=64)] = UL2
    longest_span: PositiveInt = Field(10, description="of geometric spans")
    mode_tokens: dict[Literal["R", "S", "X"], str] = Field(
        {}, description="pieces of the vocabulary; those not named are the tokenizer's last sentinels"
    )


class LossWeights(Section):
    """What the mean loss of each head of a BERT is multiplied by."""

    mlm: NonNegativeFloat = 1.0
    sop: NonNegativeFloat = 1.0
    pos: NonNegativeFloat = 0.1
    ne: NonNegativeFloat = 0.1
    relation: NonNegativeFloat = 0.1
    answer: NonNegativeFloat = Field(1.0, description="decoding the other entity of a triple")


Masking = Literal["token", "word", "ngram", "entity", "discourse", "knowledge"]


class MlmConfig(ObjectiveSection):
    """BERT masked-language modelling: mask_probability of the real tokens, 80 % [MASK], 10 % random, 10 % kept."""

    kind: Literal["mlm"] = "mlm"
    mask_probability: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
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
