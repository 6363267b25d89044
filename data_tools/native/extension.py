"""The C++ extension of corpus work, ready for use."""

from functools import cache
from types import ModuleType

from taixue.base import compiled

from .plain import characters

_VERSION = 7  # module.cc says the same


def _compiled() -> ModuleType:
    from .. import _native  # type: ignore[attr-defined]

    return _native


@cache
def loaded() -> ModuleType | None:
    """The C++ module; None: the plain twins do the work."""
    module = compiled.load(_compiled, _VERSION)
    if module is not None:
        module.set_characters(characters.classes().tobytes())
    return module


def is_native() -> bool:
    """Whether the C++ extension does the work."""
    return loaded() is not None


def status() -> str:
    """One line for people: what does the work."""
    return compiled.status(loaded())
