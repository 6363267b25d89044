"""Cross-entropy in PyTorch: whole, and as the two passes over a block of logits that the chunked loss is made of.

Letters: N positions, V vocabulary (of this rank, where it is split). Sums are at least fp32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -100
"""Label of a position that is not predicted."""


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype that numbers of `dtype` are summed in."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def cross_entropy_sum(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of -log softmax(logits)[label] over labels that are not IGNORE. logits (..., V), labels (...); 0-dim."""
    rows = logits.to(wide(logits.dtype)).flatten(0, -2)
    return F.cross_entropy(rows, labels.flatten(), ignore_index=IGNORE, reduction="sum")


def statistics(logits: Tensor, labels: Tensor, first: int) -> Tensor:
    """(4, N): maximum, sum of exp(logit - maximum), logit of the label, sum of logits. logits (N, V), labels (N).

    first: the label of column 0. The logit of a label outside of [first, first + V) counts 0.
    """
    rows = logits.to(wide(logits.dtype))
    maximum = rows.amax(-1)
    local = labels - first
    mine = (local >= 0) & (local < logits.shape[1])
    target = rows.gather(1, torch.where(mine, local, 0)[:, None])[:, 0] * mine
    return torch.stack((maximum, (rows - maximum[:, None]).exp_().sum(-1), target, rows.sum(-1)))


def gradient_(logits: Tensor, labels: Tensor, first: int, lse: Tensor, z: float, t: float, u: float) -> None:
    """Replace logits (N, V) by softmax * (1 + z lse) - t [label] - u; 0 where the label is IGNORE.

    lse (N): log of the sum of exponentials over the whole vocabulary.
    """
    rows = logits.to(lse.dtype)
    rows = (rows - lse[:, None]).exp_().mul_((1 + z * lse)[:, None]).sub_(u)
    local = labels - first
    mine = (local >= 0) & (local < logits.shape[1])
    rows.scatter_add_(1, torch.where(mine, local, 0)[:, None], -t * mine[:, None].to(rows.dtype))
    logits.copy_(rows.mul_((labels != IGNORE)[:, None]))
