"""What ranks tell each other about a step: how much it predicts, and whether anyone was asked to stop."""

import torch
import torch.distributed as dist
from torch import Tensor

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
