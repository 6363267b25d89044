"""Linguistic annotation of a corpus: found by character, written by token (see sidecar.py for the format)."""

from .annotator import Annotator, merge
from .sidecar import Reader, Writer, row_dtype

__all__ = ["Annotator", "Reader", "Writer", "merge", "row_dtype"]
