"""Adafactor (Shazeer & Stern 2018) as T5 used it, on sharded parameters.

torch.optim.Adafactor fails on FSDP2 parameters. Here the statistics are those of the full logical tensor,
whatever mix of FSDP2 and tensor-parallel sharding holds it, so every layout takes the step that one
process would.
"""

from typing import Any

import torch
from torch import Tensor

from taixue.parallel.shared import local

from .shards import local_gradient, mean_squares, splitting, sum_over, zeros_along

GRADIENT_FLOOR = 1e-30
PARAMETER_FLOOR = 1e-3
CLIP = 1.0
DECAY = -0.8


class Adafactor(torch.optim.Optimizer):
    """T5's settings: no momentum, decay 1 - t^-0.8, update clipped at RMS 1, step relative to the parameter.

    For a matrix G (N, M) with squares Q = G^2 + 1e-30:  row (N,) and col (M,) are moving averages of the
    means of Q over columns and over rows; U = G / sqrt(row col^T / mean(row)). For a vector, second (N,)
    is the moving average of Q and U = G / sqrt(second). Then  p <- p - lr * max(1e-3, RMS(p)) * (U /
    max(1, RMS(U)) + weight_decay * p). Equal to transformers' Adafactor(relative_step=False,
    scale_parameter=True).

    State: row and col (or second) per parameter, split as the parameter's rows and columns are; they
    reshard like any DTensor. step() uses gradients as scratch space: they are worthless afterwards.

    Collectives per step: for each process group that splits parameters (dp_shard, tp), three all_gathers:
    of all row and column sums, of mean(row), of RMS(p) and RMS(U).
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})
        self.updates = 0
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = _statistics(parameter)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        self.updates += 1
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        self._observe(parameters)
        for parameter in parameters:
            if parameter.ndim != 2:
                local_gradient(parameter).mul_(local(self.state[parameter]["second"]).rsqrt())
        self._precondition([p for p in parameters if p.ndim == 2])
        pieces = [local(p) for p in parameters] + [local_gradient(p) for p in parameters]
        rms = [square.sqrt() for square in mean_squares(pieces, parameters * 2)]
        scales = {
            p: (size.clamp(min=PARAMETER_FLOOR), length.div(CLIP).clamp(min=1.0))
            for p, size, length in zip(parameters, rms, rms[len(parameters) :], strict=False)
        }
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter not in scales:
                    continue
                size, clip = scales[parameter]
                rate = size * group["lr"]
                piece = local(parameter)
                piece.mul_(1 - rate * group["weight_decay"]).sub_(local_gradient(parameter).mul_(rate / clip))

    def _observe(self, parameters: list[Tensor]) -> None:
        """Fold the squares of the gradients into row, col and second."""
        fresh = self.updates**DECAY
        sums, groups, targets = [], [], []
        for parameter in parameters:
            squares = local_gradient(parameter).square().add_(GRADIENT_FLOOR)
            state = self.state[parameter]
            if parameter.ndim != 2:
                local(state["second"]).lerp_(squares, fresh)
                continue
            rows, columns = parameter.shape
            sums += [squares.sum(1).div_(columns), squares.sum(0).div_(rows)]
            groups += [splitting(parameter, 1), splitting(parameter, 0)]
            targets += [local(state["row"]), local(state["col"])]
        sum_over(sums, groups)
        for target, value in zip(targets, sums, strict=True):
            target.lerp_(value, fresh)

    def _precondition(self, matrices: list[Tensor]) -> None:
        """Turn the gradients of matrices into updates U, in place."""
        means = [local(self.state[p]["row"]).sum() / p.shape[0] for p in matrices]
        sum_over(means, [splitting(p, 0) for p in matrices])
        for parameter, mean in zip(matrices, means, strict=True):
            row, column = local(self.state[parameter]["row"]), local(self.state[parameter]["col"])
            gradient = local_gradient(parameter)
            gradient.mul_((row / mean).rsqrt_().unsqueeze(1)).mul_(column.rsqrt().unsqueeze(0))


def _statistics(parameter: Tensor) -> dict[str, Tensor]:
    if parameter.ndim == 2:
        return {"row": zeros_along(parameter, 0), "col": zeros_along(parameter, 1)}
    return {"second": torch.zeros_like(parameter)}
