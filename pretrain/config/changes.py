"""What differs between two configurations of a run, and which differences are decisive."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from taixue.base.section import Decisive, Harmless

from .schema import RunConfig


def differences(saved: Mapping[str, Any], run: RunConfig) -> dict[str, tuple[Any, Any]]:
    """What `run` changes in the configuration `saved` (as JSON): dotted key -> (value there, value of `run`), sorted.

    A key that `saved` does not have (it is older than the key) counts as the key's default.
    """
    before, now = _flat(saved), _flat(run.model_dump(mode="json"))
    defaults = _flat(_defaults(run).model_dump(mode="json"))
    pairs = {
        key: (before.get(key, defaults.get(key)), now.get(key)) for key in sorted(before.keys() | now.keys())
    }
    return {key: (old, new) for key, (old, new) in pairs.items() if old != new}


def is_decisive(run: RunConfig, key: str) -> bool:
    """Whether the schema marks the dotted key as Decisive. A key it does not know is what its section is."""
    section: Any = run
    decisive, path = False, key.split(".")
    for depth, name in enumerate(path, 1):
        field = type(section).model_fields.get(name) if isinstance(section, BaseModel) else None
        if field is None:
            break
        for mark in field.metadata:
            if isinstance(mark, Harmless):
                decisive = False
            elif isinstance(mark, Decisive):
                decisive = not mark.only or path[depth : depth + 1] == [mark.only]
        section = getattr(section, name)
    return decisive


def _defaults(run: RunConfig) -> RunConfig:
    """A run of the same model family, objective and so on, with every default."""
    return RunConfig(**{key: type(value)() for key, value in run if isinstance(value, BaseModel)})


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {prefix.removesuffix("."): tree}
    return {
        key: value for name, part in tree.items() for key, value in _flat(part, f"{prefix}{name}.").items()
    }
