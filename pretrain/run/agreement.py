"""What ranks tell each other about a step: how much it predicts, and whether anyone was asked to stop."""

import platform
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from taixue.parallel.agree import gathered
from taixue.parallel.engine import Engine
from taixue.parallel.stop import StopRequest


class Agreement:
    """The sum over all ranks of this one's predictions and votes to stop, on its way: one all_reduce on the CPU, begun
    when this is made. All ranks make it and wait for it together."""

    def __init__(self, engine: Engine, predicted: Tensor, stop: StopRequest) -> None:
        """predicted (n_losses,) int64: of this data-parallel rank's batch; zeros where there is none."""
        self._stop, self._losses = stop, len(predicted)
        mine = predicted if engine.counts_once else torch.zeros_like(predicted)
        self._numbers = torch.cat((mine, stop.votes()))
        self._work = dist.all_reduce(self._numbers, async_op=True)

    def wait(self) -> Tensor:
        """Predictions in the global batch (n_losses,); from here on `stop.decided` says what was agreed."""
        self._work.wait()
        self._stop.decide(self._numbers[self._losses :])
        return self._numbers[: self._losses]


def summed(engine: Engine, predicted: Tensor) -> Tensor:
    """predicted, summed over the data-parallel ranks, on every rank. Collective: one all_reduce on the CPU."""
    total = predicted.clone() if engine.counts_once else torch.zeros_like(predicted)
    dist.all_reduce(total)
    return total


class Place(NamedTuple):
    """Where a rank is."""

    rank: int
    host: str


def not_finite(engine: Engine, own_losses: Tensor | None) -> dict[int, Place]:
    """The data ranks whose own losses are not finite -> their first rank. own_losses: see Update. Collective: one
    all_gather_object."""
    spoiled = own_losses is not None and not bool(own_losses.isfinite().all())
    world = dist.group.WORLD
    assert world is not None
    found: dict[int, Place] = {}
    for place in gathered(world, (engine.data_rank, dist.get_rank(), platform.node()) if spoiled else None):
        if place is not None:
            found.setdefault(place[0], Place(*place[1:]))
    return found
