"""Cross-entropy sums: of logits, and of a projection to the vocabulary without its logits."""

from .linear import Split, linear_cross_entropy_sum
from .reference import IGNORE, cross_entropy_sum

__all__ = ["IGNORE", "Split", "cross_entropy_sum", "linear_cross_entropy_sum"]
