"""Cross-entropy in PyTorch, summed in at least fp32, so that the caller can divide by a global count."""

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -100
"""Label of a position that is not predicted."""


def cross_entropy_sum(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of -log softmax(logits)[label] over labels that are not IGNORE. logits (..., V), labels (...); 0-dim."""
    wide = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
    return F.cross_entropy(wide.flatten(0, -2), labels.flatten(), ignore_index=IGNORE, reduction="sum")
