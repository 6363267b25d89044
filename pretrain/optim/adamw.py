"""AdamW (Loshchilov & Hutter 2019), and the same with steps scaled by the size of the parameter (nanoT5).

Both keep exp_avg and exp_avg_sq beside each parameter, in its dtype (float32 master weights; float64 in
tests) and layout, and one count of updates for all parameters.
"""

from typing import Any

import torch
from torch import Tensor

from taixue.kernels.optim import adamw_step, square_sums
from taixue.parallel.gradients import local_gradient
from taixue.parallel.shared import local

from .shards import Means


class AdamW(torch.optim.Optimizer):
    """p <- (1 - lr * weight_decay) p - lr * m / (sqrt(v) + eps), m and v the bias-corrected moments. No collectives."""

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self.updates = 0
        self._held: dict[Tensor, tuple[Tensor, Tensor, Tensor]] = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = {
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }

    @torch.no_grad()
    def step(self, closure: None = None, *, scale: Tensor | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient. Gradients may be overwritten; they are first multiplied by
        `scale`, 0-dim on their device."""
        self.updates += 1
        sizes = self._sizes()
        shares = [None] * len(self.param_groups)
        if sizes is not None:
            shares = sizes.split([len(group["params"]) for group in self.param_groups])
        for group, relative in zip(self.param_groups, shares, strict=True):
            parameters: list[Tensor] = group["params"]
            pieces = [self._pieces(p) for p in parameters]
            held = [n for n, p in enumerate(parameters) if p.grad is not None and pieces[n][0].numel()]
            if not held:
                continue
            if relative is not None and len(held) < len(parameters):
                relative = torch.stack([relative[n] for n in held])
            weights, firsts, seconds = zip(*(pieces[n] for n in held), strict=True)
            adamw_step(
                weights,
                [local_gradient(parameters[n]) for n in held],
                firsts,
                seconds,
                lr=group["lr"],
                betas=group["betas"],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                step=self.updates,
                scale=scale,
                sizes=relative,
            )

    def _pieces(self, parameter: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Local parts of a parameter and its moments: the same tensors in every step, looked up once."""
        found = self._held.get(parameter)
        if found is None:
            moments = self.state[parameter]
            found = local(parameter), local(moments["exp_avg"]), local(moments["exp_avg_sq"])
            self._held[parameter] = found
        return found

    def _sizes(self) -> Tensor | None:
        """What the steps of all parameters are relative to, (N,) float64 in the order of param_groups; None for 1."""
        return None


class AdamWRms(AdamW):
    """AdamW whose step is multiplied by max(1e-3, RMS of the parameter), as nanoT5's AdamWScale and Adafactor do.

    The RMS is that of the whole logical tensor before the update. Collectives per step: one all_gather of a
    few scalars for each process group that splits parameters (dp_shard, tp).
    """

    floor = 1e-3
    _means: Means | None = None

    def _sizes(self) -> Tensor | None:
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        if self._means is None:
            self._means = Means(parameters)
        squares = square_sums([self._pieces(parameter)[0] for parameter in parameters])
        return self._means.of(squares).sqrt_().clamp_(min=self.floor)
