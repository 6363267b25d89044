"""An optimizer whose update of an element needs nothing but that element: it sees no sharding."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from taixue.parallel.gradients import local_gradient
from taixue.parallel.shared import local


class Elementwise(torch.optim.Optimizer):
    """A TrainOptimizer made of a function. No collectives.

    update(weight, gradient, lr, decay, number, *states) changes weight and states in place; all are of one shape, the
    local part of a parameter. decay: its weight decay. number: of this update, from 1. states: names of the moving
    values kept beside each parameter, in its dtype and layout, zero at first.
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, update: Callable[..., object], *states: str
    ) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})
        self.updates = 0
        self._update, self._states = update, states
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = {name: torch.zeros_like(parameter) for name in states}

    @torch.no_grad()
    def step(self, closure: None = None, *, scale: Tensor | None = None) -> None:  # type: ignore[override]
        """See TrainOptimizer."""
        self.updates += 1
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                gradient = local_gradient(p)
                if scale is not None:
                    gradient = gradient * scale.to(gradient.dtype)
                held = (local(self.state[p][name]) for name in self._states)
                self._update(local(p), gradient, group["lr"], group["weight_decay"], self.updates, *held)
