"""The C++ extension: whether it is there, and said for people."""

import os
import warnings
from functools import cache
from types import ModuleType

from . import characters

_VERSION = 3  # module.cc says the same


@cache
def loaded() -> ModuleType | None:
    """The C++ module, ready for use."""
    if os.environ.get("TAIXUE_NATIVE") == "off":
        return None
    try:
        from .. import _native  # type: ignore[attr-defined]
    except ImportError:
        return None
    if _native.VERSION != _VERSION:
        warnings.warn(
            f"taixue: the C++ extension is of another version ({_native.VERSION}, not {_VERSION}) and is not used; "
            "install taixue again (pip install -e .)",
            stacklevel=2,
        )
        return None
    _native.set_characters(characters.classes().tobytes())
    return _native


def is_native() -> bool:
    """Whether the C++ extension does the work."""
    return loaded() is not None


def status() -> str:
    """One line for people: what does the work."""
    if is_native():
        return "C++ extension"
    if os.environ.get("TAIXUE_NATIVE") == "off":
        return "plain Python (TAIXUE_NATIVE=off)"
    return "plain Python, 10 to 200 times slower: install taixue again where a C++17 compiler is"
