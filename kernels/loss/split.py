"""A vocabulary whose columns lie on several ranks, and what its parts exchange."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """A vocabulary whose columns lie on several ranks: this one's begin at `first`, all are `size`.

    maximum and add replace a tensor by its maximum, resp. sum, over the ranks; in place. gather gives the tensors of
    all ranks, which have one shape, in the order of their columns.
    """

    first: int
    size: int
    maximum: Callable[[Tensor], object]
    add: Callable[[Tensor], object]
    gather: Callable[[Tensor], Sequence[Tensor]]


def whole(blocks: Sequence[Tensor], split: Split | None) -> list[Tensor]:
    """Statistics of all columns from those of this rank's. Blocks (2 or more, N).

    Of a block, row 0 is a maximum, row 1 a sum of exponentials of differences to it, what follows are sums. Two
    reductions over the ranks, however many blocks there are.
    """
    if split is None:
        return list(blocks)
    maxima = torch.stack([block[0] for block in blocks])
    split.maximum(maxima)
    scales = (torch.stack([block[0] for block in blocks]) - maxima).exp()
    sums = torch.cat(
        [row for block, scale in zip(blocks, scales, strict=True) for row in (block[1:2] * scale, block[2:])]
    )
    split.add(sums)
    parts = sums.split([len(block) - 1 for block in blocks])
    return [torch.cat((maximum[None], part)) for maximum, part in zip(maxima, parts, strict=True)]
