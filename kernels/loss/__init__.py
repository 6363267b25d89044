"""Cross-entropy sums."""

from .reference import IGNORE, cross_entropy_sum

__all__ = ["IGNORE", "cross_entropy_sum"]
