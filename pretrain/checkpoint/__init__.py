"""Checkpoints: flat tensors in safetensors, state in JSON, committed by rename, verified before use.

What needs torch is imported when it is first asked for: compatible.py and layout.py do without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compatible import check
    from .layout import steps
    from .loading import newest, read_state, read_tensors, restore
    from .save import Saver

__all__ = ["Saver", "check", "newest", "read_state", "read_tensors", "restore", "steps"]

_HOMES = {"Saver": "save", "check": "compatible", "steps": "layout"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES.get(name, 'loading')}", __name__), name)
