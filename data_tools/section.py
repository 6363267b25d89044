"""Base of every configuration section."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Immutable, strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())
