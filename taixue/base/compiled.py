"""The C++ extensions: whether one is there and fits, and that said for people."""

import os
import warnings
from collections.abc import Callable
from types import ModuleType


def load(found: Callable[[], ModuleType], version: int) -> ModuleType | None:
    """The compiled module that `found` imports; None where it was not built, is of another version (which is said), or
    TAIXUE_NATIVE is off."""
    if os.environ.get("TAIXUE_NATIVE") == "off":
        return None
    try:
        module = found()
    except ImportError:
        return None
    if version != module.VERSION:
        warnings.warn(
            f"taixue: the C++ extension {module.__name__} is of another version ({module.VERSION}, not {version}) and "
            "is not used; install taixue again (pip install -e .)",
            stacklevel=3,
        )
        return None
    return module


def status(module: ModuleType | None) -> str:
    """One line for people: what does the work."""
    if module is not None:
        return "C++ extension"
    if os.environ.get("TAIXUE_NATIVE") == "off":
        return "plain Python (TAIXUE_NATIVE=off)"
    return "plain Python, 10 to 200 times slower: install taixue again where a C++17 compiler is"
