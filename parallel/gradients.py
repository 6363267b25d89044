"""The global gradient norm over parameters that are sharded, replicated or both."""

from collections import defaultdict
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate

from taixue.kernels.optim import square_sums

from .shared import local


class GlobalNorm:
    """L2 norm of all gradients as one vector. A local part that k ranks hold counts 1/k on each."""

    def __init__(self, parameters: Iterable[nn.Parameter], device: torch.device) -> None:
        """parameters: each logical parameter once per pipeline. Their layout is looked at once: a step has no time."""
        self._device = device
        self._by_copies: dict[int, list[nn.Parameter]] = defaultdict(list)
        for parameter in parameters:
            self._by_copies[_copies(parameter)].append(parameter)

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """float64, 0-dim, the same on every rank. One all-reduce over the world."""
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        for copies, parameters in self._by_copies.items():
            grads = [local_gradient(parameter) for parameter in parameters if parameter.grad is not None]
            if grads:
                total += square_sums(grads).sum() / copies
        dist.all_reduce(total)
        return total.sqrt()


def local_gradient(parameter: Tensor) -> Tensor:
    """This rank's piece of parameter.grad. Raises ValueError if it is laid out differently: if it is not reduced."""
    gradient = parameter.grad
    assert gradient is not None
    if isinstance(parameter, DTensor):
        placements = gradient.placements if isinstance(gradient, DTensor) else None
        if placements is not parameter.placements and placements != parameter.placements:
            raise ValueError(f"gradient placed as {placements}, parameter as {parameter.placements}")
    return local(gradient)


def _copies(parameter: Tensor) -> int:
    """How many ranks hold the same local part."""
    if not isinstance(parameter, DTensor):
        return 1
    copies = 1
    for dimension, place in enumerate(parameter.placements):
        if isinstance(place, Replicate):
            copies *= parameter.device_mesh.size(dimension)
    return copies
