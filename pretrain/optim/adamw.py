"""AdamW (Loshchilov & Hutter 2019), and the same with steps scaled by the size of the parameter (nanoT5).

Both keep exp_avg and exp_avg_sq beside each parameter, in its dtype (float32 master weights; float64 in
tests) and layout, and one count of updates for all parameters.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from taixue.parallel.shared import local

from .shards import local_gradient, mean_squares

Groups = list[dict[str, Any]]


class AdamW(torch.optim.AdamW):
    """torch's AdamW, fused where every parameter allows it, with its state made up front. No collectives."""

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        parameters = [p for group in groups for p in group["params"]]
        fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
        super().__init__(groups, lr=lr, betas=betas, eps=eps, fused=fused)
        for parameter in parameters:
            self.state[parameter] = _moments(parameter) | {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device)
            }

    @property
    def updates(self) -> int:
        """Updates applied so far."""
        return int(next(iter(self.state.values()))["step"].item())

    @updates.setter
    def updates(self, count: int) -> None:
        for state in self.state.values():
            state["step"].fill_(count)


class AdamWRms(torch.optim.Optimizer):
    """AdamW whose step is multiplied by max(1e-3, RMS of the parameter), as nanoT5's AdamWScale and
    Adafactor do.

    p <- p - lr * weight_decay * p - lr * max(1e-3, RMS(p)) * m / (sqrt(v) + eps), m and v the
    bias-corrected moments, RMS over the whole logical tensor before the update. Collectives: one
    all_gather of a few scalars for each process group that splits parameters (dp_shard, tp).
    """

    floor = 1e-3

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self.updates = 0
        for parameter in _parameters(self):
            self.state[parameter] = _moments(parameter)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        self.updates += 1
        parameters = [p for p in _parameters(self) if p.grad is not None]
        squares = mean_squares([local(p) for p in parameters], parameters)
        sizes = dict(zip(parameters, squares, strict=True))
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            correction1, correction2 = 1 - beta1**self.updates, 1 - beta2**self.updates
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                piece, gradient = local(parameter), local_gradient(parameter)
                state = self.state[parameter]
                mean, square = local(state["exp_avg"]), local(state["exp_avg_sq"])
                mean.lerp_(gradient, 1 - beta1)
                square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
                update = square.div(correction2).sqrt_().add_(group["eps"]).reciprocal_().mul_(mean)
                scale = sizes[parameter].sqrt().clamp_(min=self.floor).mul_(group["lr"] / correction1)
                piece.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update.mul_(scale))


def _moments(parameter: Tensor) -> dict[str, Tensor]:
    return {"exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}


def _parameters(optimizer: torch.optim.Optimizer) -> Iterable[Tensor]:
    return (parameter for group in optimizer.param_groups for parameter in group["params"])
