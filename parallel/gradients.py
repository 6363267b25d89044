"""The global gradient norm over parameters that are sharded, replicated or both."""

from collections import defaultdict
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate

from taixue.kernels.optim import square_sums

from .shared import local


@torch.no_grad()
def global_norm(parameters: Iterable[nn.Parameter], device: torch.device) -> Tensor:
    """L2 norm of all gradients as one vector, float64, 0-dim, the same on every rank.

    parameters: each logical parameter once per pipeline. A local part that k ranks hold counts 1/k on each. One
    all-reduce over the world.
    """
    by_copies: dict[int, list[Tensor]] = defaultdict(list)
    for parameter in parameters:
        if parameter.grad is not None:
            by_copies[_copies(parameter.grad)].append(local(parameter.grad))
    total = torch.zeros((), dtype=torch.float64, device=device)
    for copies, grads in by_copies.items():
        total += square_sums(grads).sum() / copies
    dist.all_reduce(total)
    return total.sqrt()


def _copies(grad: Tensor) -> int:
    """How many ranks hold the same local part."""
    if not isinstance(grad, DTensor):
        return 1
    copies = 1
    for dimension, place in enumerate(grad.placements):
        assert not place.is_partial(), f"gradient was not reduced: {grad.placements}"
        if isinstance(place, Replicate):
            copies *= grad.device_mesh.size(dimension)
    return copies
