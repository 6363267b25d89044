"""The building blocks of every model: norms, attention, feed-forward, embeddings, heads.

Letters: B batch, S sequence length, T length of what is attended to, D model width, H heads, K head dim, F
feed-forward width, V vocabulary. Blocks work on however many heads or hidden units their weights hold.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taixue.kernels.attention import AttentionBias, attention, attention_bias
from taixue.kernels.dropout.places import Dropout
from taixue.kernels.gated_ffn import gate
from taixue.kernels.loss import Targets, Teacher, linear_loss_sums
from taixue.kernels.norm import add_layer_norm, add_rms_norm, layer_norm, rms_norm

from .products import Linear, joint_linear

Activation = Callable[[Tensor], Tensor]


class RMSNorm(nn.Module):
    """T5's layer norm: no mean, no bias. (..., D) -> (..., D)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)

    def add(
        self, x: Tensor, update: Tensor, dropout: Dropout, samples: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """(x + dropout(update), its norm)."""
        return add_rms_norm(x, update, self.weight, self.eps, dropout.draws(samples, x.shape[1]))


class LayerNorm(nn.Module):
    """LayerNorm with bias. (..., D) -> (..., D)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.weight, self.bias, self.eps)

    def add(
        self, x: Tensor, update: Tensor, dropout: Dropout, samples: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """(x + dropout(update), its norm)."""
        draws = dropout.draws(samples, x.shape[1])
        return add_layer_norm(x, update, self.weight, self.bias, self.eps, draws)


class Attention(nn.Module):
    """Multi-head attention. x (B, S, D), memory (B, T, D) or None for self-attention -> (B, S, D)."""

    def __init__(
        self, width: int, heads: int, head_dim: int, *, bias: bool, scale: float, dropout: float
    ) -> None:
        super().__init__()
        self.head_dim, self.scale = head_dim, scale
        self.dropout = Dropout(dropout)
        self.q = Linear(width, heads * head_dim, bias=bias)
        self.k = Linear(width, heads * head_dim, bias=bias)
        self.v = Linear(width, heads * head_dim, bias=bias)
        self.o = Linear(heads * head_dim, width, bias=bias)

    def forward(
        self,
        x: Tensor,
        bias: AttentionBias | None,
        memory: Tensor | None = None,
        group_scale: Tensor | None = None,
        samples: Tensor | None = None,
    ) -> Tensor:
        if memory is None:
            projected = joint_linear(x, self.q, self.k, self.v)
        else:
            projected = (self.q(x), *joint_linear(memory, self.k, self.v))
        query, key, value = map(self._heads, projected)
        draws = self.dropout.draws(samples, query.shape[1])
        out = attention(query, key, value, bias, scale=self.scale, dropout=draws, group_scale=group_scale)
        return self.o(out.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)


class FeedForward(nn.Module):
    """wo(activation(wi(x))). (B, S, D) -> (B, S, D); dropout on the F hidden units."""

    def __init__(
        self, width: int, hidden: int, activation: Activation, *, bias: bool, dropout: float
    ) -> None:
        super().__init__()
        self.activation = activation
        self.wi = Linear(width, hidden, bias=bias)
        self.wo = Linear(hidden, width, bias=bias)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, samples: Tensor | None = None) -> Tensor:
        return self.wo(self.dropout(self.activation(self.wi(x)), samples))


class GatedFeedForward(nn.Module):
    """wo(gelu(wi_0(x)) * wi_1(x)) (Shazeer 2020). (B, S, D) -> (B, S, D); dropout on the F hidden units."""

    def __init__(self, width: int, hidden: int, *, dropout: float) -> None:
        super().__init__()
        self.wi_0 = Linear(width, hidden, bias=False)
        self.wi_1 = Linear(width, hidden, bias=False)
        self.wo = Linear(hidden, width, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, samples: Tensor | None = None) -> Tensor:
        gated, linear = joint_linear(x, self.wi_0, self.wi_1)
        return self.wo(self.dropout(gate(gated, linear, "gelu_new"), samples))


class Positions(NamedTuple):
    """Positions of a sequence that attends to itself: all that its attention bias depends on but a table."""

    length: int
    key_mask: Tensor | None
    """(B, length) bool, False: padding."""
    causal: bool
    dtype: torch.dtype
    """Of the scores."""
    segments: Tensor | None = None
    """(B, length): attention stays inside each."""
    groups: Tensor | None = None
    """(B, G, length), see `attention_bias`."""


class RelativeBias(nn.Module):
    """T5's relative position bias: a (buckets, H) table of a stack or of one layer."""

    def __init__(self, buckets: int, heads: int, max_distance: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(buckets, heads))
        self.max_distance = max_distance

    def forward(self, at: Positions) -> AttentionBias | None:
        """Bias for `attention` of these positions."""
        return attention_bias(
            at.length,
            at.length,
            table=self.weight,
            max_distance=self.max_distance,
            causal=at.causal,
            key_mask=at.key_mask,
            query_segments=at.segments,
            key_segments=at.segments,
            groups=at.groups,
            dtype=at.dtype,
            device=self.weight.device,
        )


class LMHead(nn.Module):
    """Projection to the vocabulary and its loss, which is computed without ever holding all logits.

    With its own (V, D) weight unless `tied`, then the embedding's weight is handed in.
    """

    def __init__(self, width: int, vocabulary: int, *, tied: bool, bias: bool) -> None:
        super().__init__()
        self.weight = None if tied else nn.Parameter(torch.zeros(vocabulary, width))
        self.bias = nn.Parameter(torch.zeros(vocabulary)) if bias else None

    def forward(
        self, x: Tensor, tied_weight: Tensor | None, targets: Targets | None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """x (B, S, D) -> logits (B, S, V), or with targets (B, S) the sums of losses against labels and teacher."""
        weight = self.weight if tied_weight is None else tied_weight
        assert weight is not None
        if targets is None:
            return F.linear(x, weight, self.bias)
        return linear_loss_sums(x, weight, self.bias, targets)


TEACHER = {
    "teacher_ids": "(B, T, K) likeliest tokens of a teacher; T as of labels, -100 where it says nothing",
    "teacher_log_probabilities": "(B, T, K), as kernels.loss.Teacher",
}
"""What batches of any model may hold besides labels, or instead of them. Adds the loss "teacher" as the last."""


def targets_of(batch: Mapping[str, Tensor]) -> Targets | None:
    """What the LM head is to predict; None: nothing, logits are wanted."""
    if "teacher_ids" in batch:
        teacher = Teacher(batch["teacher_ids"], batch["teacher_log_probabilities"])
        return Targets(batch.get("labels"), teacher)
    return Targets(batch["labels"]) if "labels" in batch else None


RUNTIME = {"samples": "(B,) int64 number of each row in the global batch of the step: its dropout, see Draws"}
"""What the runtime adds to the batches of any model in training."""


def known(keys: Iterable[str], *tables: Container[str]) -> None:
    """TypeError when a batch has a key that none of the tables names: it would be ignored silently."""
    unknown = [key for key in keys if not any(key in table for table in (*tables, TEACHER, RUNTIME))]
    if unknown:
        raise TypeError(f"a batch of this model has no {', '.join(unknown)}; see inputs.py")
