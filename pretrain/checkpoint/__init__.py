"""Checkpoints: flat tensors in safetensors, state in JSON, committed by rename, verified before use.

What needs torch is imported when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from .compatible import check
from .layout import steps

if TYPE_CHECKING:
    from .loading import newest, read_state, read_tensors, restore
    from .save import Saver

__all__ = ["Saver", "check", "newest", "read_state", "read_tensors", "restore", "steps"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import loading, save

    return getattr(save if name == "Saver" else loading, name)
