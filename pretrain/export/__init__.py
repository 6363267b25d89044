"""Checkpoints to Hugging Face folders and back."""

from .folder import from_hf
from .hf import to_hf
from .importing import import_hf

__all__ = ["from_hf", "import_hf", "to_hf"]
