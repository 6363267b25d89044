"""A base for optimizers whose update of an element needs nothing but that element: they see no sharding."""

from typing import Any

import torch
from torch import Tensor

from taixue.parallel.shared import local

from .shards import local_gradient


class Elementwise(torch.optim.Optimizer):
    """Gives `update` each parameter's local part. No collectives.

    states: names of the moving values kept beside each parameter, in its dtype and layout, zero at first.
    """

    states: tuple[str, ...] = ()

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})
        self.updates = 0
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = {name: torch.zeros_like(parameter) for name in self.states}

    def update(self, weight: Tensor, gradient: Tensor, lr: float, decay: float, *states: Tensor) -> None:
        """Change weight and states in place: all of one shape. decay: weight decay of this parameter. `updates` counts
        this update already, from 1."""
        raise NotImplementedError

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
                held = (local(self.state[p][name]) for name in self.states)
                self.update(local(p), gradient, group["lr"], group["weight_decay"], *held)
