"""Losses of logits, and of a projection to the vocabulary without its logits: hard labels, a teacher's top-k, both."""

from .linear import linear_cross_entropy_sum
from .reference import IGNORE, cross_entropy_sum
from .split import Split
from .targets import Targets, linear_loss_sums
from .teacher import Teacher
from .top_k import linear_top_k

__all__ = [
    "IGNORE",
    "Split",
    "Targets",
    "Teacher",
    "cross_entropy_sum",
    "linear_cross_entropy_sum",
    "linear_loss_sums",
    "linear_top_k",
]
