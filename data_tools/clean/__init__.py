"""What happens to the text of a document: normalised, masked, filtered, and all of it counted."""

from .config import MeasureKind

__all__ = ["MeasureKind"]
