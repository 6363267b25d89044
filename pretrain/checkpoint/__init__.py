"""Checkpoints: flat tensors in safetensors, state in JSON, committed by rename, verified before use."""

from .compatible import check
from .layout import steps
from .loading import newest, read_state, read_tensors, restore
from .save import Saver

__all__ = ["Saver", "check", "newest", "read_state", "read_tensors", "restore", "steps"]
