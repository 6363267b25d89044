"""Checkpoints to Hugging Face folders and back."""

from .hf_folder import from_hf
from .importing import import_hf
from .publish import to_hf

__all__ = ["from_hf", "import_hf", "to_hf"]
