"""What all sections of the configuration of a run are made of."""

from typing import Annotated

from pydantic import Field

from taixue.data_tools.section import Section

__all__ = ["Fraction", "Section", "Share", "Weight"]

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0, le=1000.0)]
