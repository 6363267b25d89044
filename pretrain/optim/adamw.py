"""AdamW (Loshchilov & Hutter 2019), and the same with steps scaled by the size of the parameter (nanoT5).

Both keep exp_avg and exp_avg_sq beside each parameter, in its dtype (float32 master weights; float64 in
tests) and layout, and one count of updates for all parameters.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from taixue.kernels.optim import adamw_step
from taixue.parallel.shared import local

from .shards import local_gradient, mean_squares


class AdamW(torch.optim.Optimizer):
    """p <- (1 - lr * weight_decay) p - lr * m / (sqrt(v) + eps), m and v the bias-corrected moments. No collectives."""

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self.updates = 0
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
        members = [[p for p in group["params"] if p.grad is not None] for group in self.param_groups]
        sizes = self._sizes([parameter for group in members for parameter in group])
        for group, parameters in zip(self.param_groups, members, strict=True):
            held = [p for p in parameters if local(p).numel()]
            if not held:
                continue
            adamw_step(
                [local(p) for p in held],
                [local_gradient(p) for p in held],
                [local(self.state[p]["exp_avg"]) for p in held],
                [local(self.state[p]["exp_avg_sq"]) for p in held],
                lr=group["lr"],
                betas=group["betas"],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                step=self.updates,
                scale=scale,
                sizes=None if sizes is None else torch.stack([sizes[p] for p in held]),
            )

    def _sizes(self, parameters: Sequence[Tensor]) -> dict[Tensor, Tensor] | None:
        """What each parameter's steps are relative to; None for 1."""
        return None


class AdamWRms(AdamW):
    """AdamW whose step is multiplied by max(1e-3, RMS of the parameter), as nanoT5's AdamWScale and Adafactor do.

    The RMS is that of the whole logical tensor before the update. Collectives per step: one all_gather of a
    few scalars for each process group that splits parameters (dp_shard, tp).
    """

    floor = 1e-3

    def _sizes(self, parameters: Sequence[Tensor]) -> dict[Tensor, Tensor]:
        squares = mean_squares([local(p) for p in parameters], parameters)
        return {
            p: square.sqrt().clamp_(min=self.floor) for p, square in zip(parameters, squares, strict=True)
        }
