"""Objectives: (tokens, annotation, key) -> arrays of fixed shape. No torch, no model."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from taixue.base.registry import UnionRegistry
from taixue.data_tools.tokenizer.base import Tokenizer

from .base import Objective
from .config import MlmConfig, ObjectiveSection, PrefixLmConfig, SpanCorruptionConfig, Ul2Config
from .denoisers import Denoisers
from .mlm import MaskedLanguageModel, max_predictions
from .span import SpanCorruption

__all__ = ["OBJECTIVES", "Objective", "ObjectiveKind", "ObjectiveSection", "build_objective"]


@dataclass(frozen=True)
class ObjectiveKind:
    """An objective by its name in configurations.

    config: its section, an ObjectiveSection. build(config, tokenizer): the Objective; UserError when its lengths are
    impossible or the tokenizer is of the other kind. fits: what its batches feed, models that are an "encoder" or an
    "encoder-decoder". describe(config): a line for the model card. problems(config): what is wrong with it, before
    anything is read. masked(config): the share of a window that is predicted, which others' masks are compared at.
    max_predictions(config): no sample has more labels than that; None: no bound below its length.
    loss_weights(config): what each mean loss is multiplied by, 1 where it is not named.
    """

    name: str
    config: type[ObjectiveSection]
    build: Callable[[Any, Tokenizer], Objective]
    fits: tuple[Literal["encoder", "encoder-decoder"], ...]
    describe: Callable[[Any], str] = lambda config: config.kind
    problems: Callable[[Any], Iterator[str]] = lambda config: iter(())
    masked: Callable[[Any], float] = lambda config: 0.15
    max_predictions: Callable[[Any], int | None] = lambda config: None
    loss_weights: Callable[[Any], Mapping[str, float]] = lambda config: {}


OBJECTIVES: UnionRegistry[ObjectiveKind] = UnionRegistry("objective", ObjectiveKind, "kind", ObjectiveSection)


def build_objective(config: ObjectiveSection, tokenizer: Tokenizer) -> Objective:
    """The objective of a run. UserError when its lengths are impossible or the tokenizer is of the other kind."""
    return OBJECTIVES.of(config).build(config, tokenizer)


def _span_corruption(config: SpanCorruptionConfig) -> str:
    kind = "" if config.spans == "random" else f"{config.spans} spans, "
    return f"span corruption ({kind}noise {config.noise_density:g}, mean span {config.mean_span_length:g})"


def _prefix_lm(config: PrefixLmConfig) -> str:
    return f"prefix language model (target {config.target_share:g})"


def _ul2(config: Ul2Config) -> str:
    return f"mixture of {len(config.denoisers)} denoisers (UL2)"


def _mlm(config: MlmConfig) -> str:
    order = ", sentence order" if config.sentence_order else ""
    modes = config.masking
    units = f" by {modes if isinstance(modes, str) else ', '.join(modes)}" if modes != "token" else ""
    return f"masked language model ({config.mask_probability:g} of the tokens{units}){order}"


def _mlm_problems(config: MlmConfig) -> Iterator[str]:
    modes = (config.masking,) if isinstance(config.masking, str) else tuple(config.masking)
    if config.documents == "separate" and config.sentence_order:
        yield (
            "objective.sentence_order: true cuts windows anywhere, which objective.documents separate forbids; turn "
            "one of them off"
        )
    if not modes:
        yield "objective.masking: an empty mixture; name at least one, e.g. word"
    if config.relation_labels and "token" in modes:
        yield "objective.relation_labels: true needs whole connectives; set objective.masking to word or discourse"
    if config.similar_words and modes != ("ngram",):
        yield f"objective.similar_words: replaces n-grams; set objective.masking to ngram, not {' '.join(modes)}"


for _kind in (
    ObjectiveKind(
        "span-corruption",
        SpanCorruptionConfig,
        SpanCorruption,
        ("encoder-decoder",),
        _span_corruption,
        masked=lambda config: config.noise_density,
    ),
    ObjectiveKind(
        "prefix-lm",
        PrefixLmConfig,
        Denoisers,
        ("encoder-decoder",),
        _prefix_lm,
        masked=lambda config: config.target_share,
    ),
    ObjectiveKind("ul2", Ul2Config, Denoisers, ("encoder-decoder",), _ul2),
    ObjectiveKind(
        "mlm",
        MlmConfig,
        MaskedLanguageModel,
        ("encoder",),
        _mlm,
        _mlm_problems,
        masked=lambda config: config.mask_probability,
        max_predictions=max_predictions,
        loss_weights=lambda config: config.loss_weights.model_dump(),
    ),
):
    OBJECTIVES.add(_kind)
