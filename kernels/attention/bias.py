"""What one stack of layers adds to its attention scores, in the form that the path in use wants.

Letters: B batch, H heads, S query length, T key length, G kinds of groups.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..dispatch import obstacle
from .reference import DenseBias, dense_bias, relative_buckets
from .triton.shapes import GRANULE, MARGIN

LOG2E = 1.4426950408889634


@dataclass(frozen=True, eq=False)
class AttentionBias:
    """Made by `attention_bias`; models hand it on and do not look inside.

    No pytree on purpose: FSDP would cast the tensors of one to the compute dtype.
    """

    query_length: int
    key_length: int
    table: Tensor | None
    max_distance: int
    causal: bool
    key_mask: Tensor | None
    query_segments: Tensor | None
    key_segments: Tensor | None
    groups: Tensor | None
    dtype: torch.dtype
    device: torch.device

    dense: DenseBias | None = None
    """For the reference."""

    line: Tensor | None = None
    """(H, 2 (radius + MARGIN) + 1) fp32, for the kernels: the bias of each distance, times log2 e; gradients of
    entries beyond the radius, which are equal, may be in any of them."""

    radius: int = 0
    """All keys at least this far on one side have the same bias."""

    key_range: Tensor | None = None
    """(B, S / GRANULE, 2) int32: first and one past the last key that GRANULE queries may see."""

    query_range: Tensor | None = None
    """(B, T / GRANULE, 2) int32, the same for keys."""

    def as_dense(self) -> DenseBias:
        """For the reference; made anew when it was not made at the start."""
        return self.dense or dense_bias(
            self.query_length,
            self.key_length,
            table=self.table,
            max_distance=self.max_distance,
            causal=self.causal,
            key_mask=self.key_mask,
            query_segments=self.query_segments,
            key_segments=self.key_segments,
            dtype=self.dtype,
            device=self.device,
        )


def attention_bias(
    query_length: int,
    key_length: int,
    *,
    table: Tensor | None = None,
    max_distance: int = 128,
    causal: bool = False,
    key_mask: Tensor | None = None,
    query_segments: Tensor | None = None,
    key_segments: Tensor | None = None,
    groups: Tensor | None = None,
    dtype: torch.dtype,
    device: torch.device,
) -> AttentionBias | None:
    """Everything that is added to attention scores, made once and shared by all layers of a stack.

    table: (buckets, H) relative position bias; bidirectional unless causal. key_mask: (B, T) bool, False hides a key.
    query_segments, key_segments: (B, S) and (B, T) integers, the packed document of each position; a query sees the
    keys of its own document only (documents that lie in one piece are fastest). groups: (B, G, S) integers for
    self-attention: two positions with the same number, not 0, are in one group (a word, a clause) of that kind, which
    `attention`'s group_scale weighs. Returns a value for `attention`, or None if nothing is added.

    Raises ValueError for shapes that disagree.
    """
    _check(query_length, key_length, table, key_mask, query_segments, key_segments, groups)
    if table is None and not causal and key_mask is None and query_segments is None and groups is None:
        return None
    bias = AttentionBias(
        query_length,
        key_length,
        table,
        max_distance,
        causal,
        key_mask,
        query_segments,
        key_segments,
        groups,
        dtype,
        device,
    )
    if obstacle("attention", device, dtype):
        return replace(bias, dense=bias.as_dense())
    line, radius = (None, 0) if table is None else _line(table, max_distance, causal)
    key_range, query_range = _ranges(query_length, key_length, key_mask, query_segments, key_segments)
    return replace(bias, line=line, radius=radius, key_range=key_range, query_range=query_range)


def _line(table: Tensor, max_distance: int, causal: bool) -> tuple[Tensor, int]:
    radius = max(max_distance, table.shape[0])
    distance = torch.arange(-radius - MARGIN, radius + MARGIN + 1, device=table.device)
    index = relative_buckets(distance, table.shape[0], max_distance, bidirectional=not causal)
    return (F.embedding(index, table.float()) * LOG2E).t().contiguous(), radius


def _ranges(
    query_length: int,
    key_length: int,
    key_mask: Tensor | None,
    query_segments: Tensor | None,
    key_segments: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:
    """Granules of queries and keys whose segments lie in intervals that overlap may meet; the kernels look closer."""
    if query_segments is None or key_segments is None:
        if key_mask is None:
            return None, None
        query_segments = key_mask.new_zeros((len(key_mask), query_length), dtype=torch.int32)
        key_segments = key_mask.new_zeros((len(key_mask), key_length), dtype=torch.int32)
    limits = torch.iinfo(key_segments.dtype)
    low, high = key_segments, key_segments
    if key_mask is not None:
        low, high = low.masked_fill(~key_mask, limits.max), high.masked_fill(~key_mask, limits.min)
    query_low, query_high = _granules(query_segments).amin(-1), _granules(query_segments).amax(-1)
    key_low, key_high = _granules(low).amin(-1), _granules(high).amax(-1)
    meet = (query_low[:, :, None] <= key_high[:, None]) & (key_low[:, None] <= query_high[:, :, None])
    return _extent(meet, key_length), _extent(meet.transpose(1, 2), query_length)


def _granules(x: Tensor) -> Tensor:
    """(B, S) -> (B, S / GRANULE, GRANULE), the last value repeated."""
    length = x.shape[1]
    index = torch.arange(-(-length // GRANULE) * GRANULE, device=x.device).clamp(max=length - 1)
    return x[:, index].unflatten(1, (-1, GRANULE))


def _extent(meet: Tensor, length: int) -> Tensor:
    """meet (B, M, N) bool over granules -> (B, M, 2) int32: where the first met granule starts, the last one ends."""
    starts = torch.arange(0, meet.shape[2] * GRANULE, GRANULE, device=meet.device, dtype=torch.int32)
    first = torch.where(meet, starts, length).amin(-1)
    last = torch.where(meet, (starts + GRANULE).clamp(max=length), 0).amax(-1)
    return torch.stack((first, last), -1).to(torch.int32)


def _check(
    query_length: int,
    key_length: int,
    table: Tensor | None,
    key_mask: Tensor | None,
    query_segments: Tensor | None,
    key_segments: Tensor | None,
    groups: Tensor | None,
) -> None:
    if query_length < 1 or key_length < 1:
        raise ValueError(
            f"attention over {query_length} queries and {key_length} keys: both must be at least 1"
        )
    if table is not None and table.dim() != 2:
        raise ValueError(f"table {tuple(table.shape)}: must be (buckets, heads)")
    if (query_segments is None) != (key_segments is None):
        raise ValueError("query_segments and key_segments come together")
    batches = set()
    for name, value, length in (
        ("key_mask", key_mask, key_length),
        ("query_segments", query_segments, query_length),
        ("key_segments", key_segments, key_length),
    ):
        if value is None:
            continue
        if value.dim() != 2 or value.shape[1] != length:
            raise ValueError(f"{name} {tuple(value.shape)}: must be (batch, {length})")
        if (value.dtype == torch.bool) != (name == "key_mask") or value.is_floating_point():
            raise ValueError(
                f"{name} of {value.dtype}: must be {'bool' if name == 'key_mask' else 'integers'}"
            )
        batches.add(len(value))
    if groups is not None:
        if groups.dim() != 3 or query_length != key_length or groups.shape[2] != query_length:
            raise ValueError(
                f"groups {tuple(groups.shape)} for {query_length} queries and {key_length} keys: must be "
                f"(batch, kinds, length) of self-attention"
            )
        if groups.is_floating_point() or groups.dtype == torch.bool:
            raise ValueError(f"groups of {groups.dtype}: must be integers")
        batches.add(len(groups))
    if len(batches) > 1:
        raise ValueError(f"masks, segments and groups are of different batch sizes: {sorted(batches)}")
