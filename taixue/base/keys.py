"""A schema of pydantic sections as data: which keys are legal where, of which type."""

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .tree import DISCRIMINATORS as REPLACING
from .tree import Tree, Where

DISCRIMINATORS = (*REPLACING, "name")
"""Keys that say which variant of a section is meant."""


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every pydantic class named inside a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, types.UnionType, tuple, list):
        for argument in get_args(annotation):
            yield from sections(argument)


def fields_at(cls: type[BaseModel], values: Any, where: Where) -> dict[str, FieldInfo]:
    """Legal keys of the section at `where`; the variant that `values` chooses where there are several."""
    section = cls
    for key in where:
        values = at(values, key)
        if isinstance(key, int):
            continue
        if key not in section.model_fields:
            return {}
        choices = list(sections(section.model_fields[key].annotation))
        if not choices:
            return {}
        section = next((choice for choice in choices if chosen(choice, values)), choices[0])
    return dict(section.model_fields)


def at(values: Any, key: str | int) -> Any:
    if isinstance(values, dict):
        return values.get(key)
    return values[key] if isinstance(values, list) and isinstance(key, int) and key < len(values) else None


def value_at(tree: Tree, where: Where) -> Any:
    values: Any = tree.values
    for part in where:
        values = at(values, part)
    return values


def type_at(cls: type[BaseModel], values: Any, where: Where) -> Any:
    """The type that the schema has for the value at `where`; None where it has none."""
    info = fields_at(cls, values, where[:-1]).get(str(where[-1]))
    return None if info is None else info.annotation


def chosen(section: type[BaseModel], values: Any) -> bool:
    return isinstance(values, Mapping) and any(
        key in values and key in section.model_fields and section.model_fields[key].default == values[key]
        for key in DISCRIMINATORS
    )


def all_paths(cls: type[BaseModel], above: Where = ()) -> Iterator[Where]:
    for name, info in cls.model_fields.items():
        yield (*above, name)
        for section in sections(info.annotation):
            yield from all_paths(section, (*above, name))


def dotted(where: Where) -> str:
    """("data", "sources", 0) -> "data.sources.0"."""
    return ".".join(map(str, where))
