"""What a checkpoint and the history keep of an objective, so that nothing has to build it again to tell of it."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from taixue.base.section import Section

from .base import Objective
from .config import MlmConfig, PrefixLmConfig, SpanCorruptionConfig, Ul2Config


class ObjectiveFacts(BaseModel):
    """In words; the raw tokens of a window; the shape of each array of one sample, by name."""

    model_config = ConfigDict(frozen=True)

    words: str
    raw_length: int
    shapes: Mapping[str, tuple[int, ...]]


def facts_of(config: Section, objective: Objective) -> ObjectiveFacts:
    """The facts of the objective that was built from `config`."""
    return ObjectiveFacts(
        words=in_words(config), raw_length=objective.raw_length, shapes=dict(objective.shapes)
    )


def in_words(config: Section) -> str:
    """An objective in a phrase, from its section alone; of a kind that is not ours, its name."""
    match config:
        case MlmConfig():
            order = ", sentence order" if config.sentence_order else ""
            modes = config.masking
            units = f" by {modes if isinstance(modes, str) else ', '.join(modes)}" if modes != "token" else ""
            return f"masked language model ({config.mask_probability:g} of the tokens{units}){order}"
        case PrefixLmConfig():
            return f"prefix language model (target {config.target_share:g})"
        case Ul2Config():
            return f"mixture of {len(config.denoisers)} denoisers (UL2)"
        case SpanCorruptionConfig():
            kind = "" if config.spans == "random" else f"{config.spans} spans, "
            return f"span corruption ({kind}noise {config.noise_density:g}, mean span {config.mean_span_length:g})"
    return str(config.model_dump().get("kind", type(config).__name__))
