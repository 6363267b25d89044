"""What every section of every configuration is made of, and marks that say what a change of a key would mean."""

from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0, le=1000.0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""Every random number generator takes it whole."""
Layers = Annotated[int, Field(ge=1, le=10_000)]
Width = Annotated[int, Field(ge=1, le=10_000_000)]
"""Of a matrix, or rows of a table; what no machine holds is refused before anything of that size is made."""
Length = Annotated[int, Field(ge=1, le=1_000_000)]
"""Tokens of a sample."""


class Section(BaseModel):
    """Immutable, strict about names; numbers are finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )


@dataclass(frozen=True)
class Decisive:
    """Annotates a key: weights, optimizer state or sample numbers mean something only with its value, so a run that
    continues a checkpoint has the same one. On a section it holds for everything inside, or for the key `only`."""

    only: str = ""


@dataclass(frozen=True)
class Harmless:
    """Annotates a key inside a decisive section: it changes neither shapes nor samples, any start may change it."""


@dataclass(frozen=True)
class PretrainingOnly:
    """Annotates a key of a model that adds parameters no exported folder has: a start from a folder begins them anew.

    parts: one of these is a component of each such parameter's name.
    """

    parts: tuple[str, ...]


Mark = TypeVar("Mark", Decisive, Harmless, PretrainingOnly)


def marked(section: type[BaseModel], kind: type[Mark]) -> dict[str, Mark]:
    """The keys of `section` that are annotated with a `kind`, and the mark of each."""
    return {
        key: mark
        for key, field in section.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, kind)
    }
