"""Linguistic annotation of a corpus: found by character, written by token (shards/sidecar.py has the format)."""

from .annotator import Annotator, merge
from .external import remarks, together

__all__ = ["Annotator", "merge", "remarks", "together"]
