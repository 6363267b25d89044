"""Objectives: (tokens, annotation, key) -> arrays of fixed shape. No torch, no model."""

from taixue.data_tools.tokenizer.base import Tokenizer

from .base import Objective
from .config import MlmConfig, ObjectiveConfig, SpanCorruptionConfig
from .denoisers import Denoisers
from .mlm import MaskedLanguageModel
from .span import SpanCorruption

__all__ = ["Objective", "build_objective"]


def build_objective(config: ObjectiveConfig, tokenizer: Tokenizer) -> Objective:
    """The objective of a run. UserError when its lengths are impossible or the tokenizer is of the other
    kind.
    """
    if isinstance(config, SpanCorruptionConfig):
        return SpanCorruption(config, tokenizer)
    if isinstance(config, MlmConfig):
        return MaskedLanguageModel(config, tokenizer)
    return Denoisers(config, tokenizer)
