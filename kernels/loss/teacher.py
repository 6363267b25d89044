"""A teacher's top-k of each position, the student's loss against it and its gradient: PyTorch, a block at a time.

The teacher's probabilities are q of k ids and r = 1 - sum q of all other ids together, "the rest", as one event. With
student logits z, temperature t, p = softmax(z / t), and s = 1 - sum_k p_k the student's rest,

    soft = t^2 (sum_k q_k (log q_k - log p_k) + r (log r - log s))

is t^2 KL(teacher || student) over these k + 1 events (t^2 keeps gradients of one size: Hinton et al. 2015). With
c = sum q + r, which is 1, and e = softmax(z / t) over the ids of the rest alone, so that p_j = s e_j there,

    d soft / d z_j = t (c p_j - q_j)  of the teacher's ids,  t (c s - r) e_j  of the rest.

log s is a difference of two logarithms of sums of exponentials: s itself may be too small for 1 - sum p.

Letters: N positions, V vocabulary of this rank, K ids per position. Sums are at least fp32.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .reference import IGNORE, wide


@dataclass(frozen=True)
class Teacher:
    """Ids of each position and the logarithms of their probabilities at a temperature, as linear_top_k gives them.

    ids (..., K) int64: those of a position are distinct; IGNORE fills up where there are fewer, there log_probabilities
    (..., K), floating, are not read. A position of no ids at all counts nothing. Probabilities that sum to 1 leave no
    rest: subtract their logsumexp for a teacher that is silent about it. No gradient flows into a teacher.
    """

    ids: Tensor
    log_probabilities: Tensor
    temperature: float = 1.0


def rest_statistics(logits: Tensor, ids: Tensor, first: int, t: float) -> Tensor:
    """(2 + K, N), of logits (N, V) / t: maximum of the rest, sum of its exp(logit - maximum), logits of ids (N, K).

    first: the id of column 0. The logit of an id outside of [first, first + V) counts 0. An empty rest has the least
    finite maximum and sum 0.
    """
    rows = logits.to(wide(logits.dtype)) / t
    named = _take(rows, ids, first)
    maximum = rows.amax(-1).clamp_(min=torch.finfo(rows.dtype).min)
    exponentials = rows.sub_(maximum[:, None]).exp_().sum(-1)
    return torch.cat((torch.stack((maximum, exponentials)), named.t()))


def soft_losses(
    statistics: Tensor, ids: Tensor, log_probabilities: Tensor, t: float
) -> tuple[Tensor, Tensor]:
    """`soft` (N) from rest_statistics of the whole vocabulary; logsumexp (2, N) of the rest, and of all logits / t."""
    rest = statistics[0] + statistics[1].log()
    student = statistics[2:].t().masked_fill(ids == IGNORE, float("-inf"))
    everything = torch.logaddexp(rest, student.logsumexp(-1))
    q, r = _masses(ids, log_probabilities, rest)
    cross = torch.where(q > 0, q * (everything[:, None] - student), 0.0).sum(-1)
    cross += torch.where(r > 0, r * (everything - rest), 0.0)
    entropy = torch.special.entr(q).sum(-1) + torch.special.entr(r)
    return t**2 * (cross - entropy), torch.stack((rest, everything))


def soft_gradient(
    logits: Tensor, ids: Tensor, log_probabilities: Tensor, first: int, logsumexp: Tensor, t: float
) -> Tensor:
    """d soft / d logits (N, V). logsumexp (2, N) as soft_losses gives it."""
    rest, everything = logsumexp
    q, r = _masses(ids, log_probabilities, rest)
    c = q.sum(-1) + r
    rows = logits.to(rest.dtype) / t
    student = (_take(rows, ids, first) - everything[:, None]).exp_()
    rows.sub_(torch.where(rest.isfinite(), rest, 0.0)[:, None]).exp_()
    rows.mul_((c * (rest - everything).exp() - r)[:, None])
    columns, mine = _columns(ids, first, logits.shape[1])
    rows.scatter_add_(1, columns, torch.where(mine, c[:, None] * student - q, 0.0))
    return rows.mul_(t)


def _masses(ids: Tensor, log_probabilities: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """q (N, K), 0 where there is no id, and r (N): not below 0, and 0 where the ids are the whole vocabulary."""
    q = log_probabilities.to(rest.dtype).exp().masked_fill_(ids == IGNORE, 0.0)
    return q, (1 - q.sum(-1)).clamp_(min=0.0).masked_fill_(rest == float("-inf"), 0.0)


def _take(rows: Tensor, ids: Tensor, first: int) -> Tensor:
    """Entries (N, K) of rows (N, V) at this rank's ids, 0 for others; in the rows, -inf takes their place."""
    columns, mine = _columns(ids, first, rows.shape[1])
    taken = rows.gather(1, columns).masked_fill_(~mine, 0.0)
    rows.scatter_add_(1, columns, torch.zeros_like(taken).masked_fill_(mine, float("-inf")))
    return taken


def _columns(ids: Tensor, first: int, width: int) -> tuple[Tensor, Tensor]:
    """Column of each id among this rank's, 0 for others, and which are its own. IGNORE is nobody's."""
    local = ids - first
    mine = (local >= 0) & (local < width)
    return torch.where(mine, local, 0), mine
