"""What a checkpoint and the history keep of an objective, so that nothing has to build it again to tell of it."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from . import OBJECTIVES, Objective, ObjectiveSection


class ObjectiveFacts(BaseModel):
    """In words; the raw tokens of a window; the shape of each array of one sample, by name."""

    model_config = ConfigDict(frozen=True)

    words: str
    raw_length: int
    shapes: Mapping[str, tuple[int, ...]]


def facts_of(config: ObjectiveSection, objective: Objective) -> ObjectiveFacts:
    """The facts of the objective that was built from `config`."""
    return ObjectiveFacts(
        words=OBJECTIVES.of(config).describe(config),
        raw_length=objective.raw_length,
        shapes=dict(objective.shapes),
    )
