"""Registries: what may be registered, when, and what the schema makes of it."""

from dataclasses import dataclass
from typing import Literal

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

import taixue
from taixue.base.registry import UnionRegistry
from taixue.base.section import Section


class Red(Section):
    kind: Literal["red"] = "red"
    depth: int = 1


class Blue(Section):
    kind: Literal["blue"] = "blue"


class Needy(Section):
    kind: Literal["needy"] = "needy"
    depth: int


class Plain(BaseModel):
    kind: Literal["plain"] = "plain"


@dataclass(frozen=True)
class Colour:
    name: str
    config: type


@pytest.fixture
def colours() -> UnionRegistry[Colour]:
    return UnionRegistry("colour", Colour, "kind")


def test_register_finds_the_registry_of_a_record(colours: UnionRegistry[Colour]) -> None:
    taixue.register(Colour("red", Red))
    taixue.register(Colour("blue", Blue))
    assert colours.names() == ("red", "blue")
    assert colours.of(Blue()).config is Blue
    union = TypeAdapter(colours.union())
    assert union.validate_python({"kind": "red", "depth": 2}) == Red(depth=2)
    with pytest.raises(ValidationError, match="blue"):
        union.validate_python({"kind": "green"})


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (Colour("red", Blue), "'red': Blue needs the field kind"),
        (Colour("needy", Needy), r"Needy\.depth needs a default"),
        (Colour("plain", Plain), "Plain should derive from Section"),
    ],
)
def test_what_a_record_must_have(colours: UnionRegistry[Colour], record: Colour, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        taixue.register(record)


def test_names_are_taken_once_and_in_time(colours: UnionRegistry[Colour]) -> None:
    taixue.register(Colour("red", Red))
    with pytest.raises(ValueError, match="registered already"):
        taixue.register(Colour("red", Red))
    assert colours.union() is Red
    with pytest.raises(ValueError, match="comes too late"):
        taixue.register(Colour("blue", Blue))


def test_nothing_registered_takes_nothing(colours: UnionRegistry[Colour]) -> None:
    with pytest.raises(ValidationError, match="no colour is registered"):
        TypeAdapter(colours.union()).validate_python({"kind": "red"})


def test_other_things_are_no_records() -> None:
    with pytest.raises(TypeError, match="int is no record"):
        taixue.register(1)
