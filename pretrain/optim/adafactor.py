"""Adafactor (Shazeer & Stern 2018) as T5 used it, on sharded parameters.

torch.optim.Adafactor fails on FSDP2 parameters. Here the statistics are those of the full logical tensor,
whatever mix of FSDP2 and tensor-parallel sharding holds it, so every layout takes the step that one process would.
"""

from typing import Any

import torch
from torch import Tensor

from taixue.kernels.optim import factored_square_sum, factored_step_, square_sums, squared_sums
from taixue.parallel.gradients import local_gradient
from taixue.parallel.shared import local

from .shards import Means, splitting, sum_over, zeros_along

GRADIENT_FLOOR = 1e-30
PARAMETER_FLOOR = 1e-3
CLIP = 1.0
DECAY = -0.8


class Adafactor(torch.optim.Optimizer):
    """T5's settings: no momentum, decay 1 - t^-0.8, update clipped at RMS 1, step relative to the parameter.

    For a matrix G (N, M) with squares Q = G^2 + 1e-30:  row (N,) and col (M,) are moving averages of the
    means of Q over columns and over rows; U = G / sqrt(row col^T / mean(row)). For a vector, second (N,)
    is the moving average of Q and U = G / sqrt(second). Then  p <- p - lr * max(1e-3, RMS(p)) * (U /
    max(1, RMS(U)) + weight_decay * p). Equal to transformers' Adafactor(relative_step=False, scale_parameter=True).

    State: row and col (or second) per parameter, split as the parameter's rows and columns are; they
    reshard like any DTensor.

    Collectives per step: for each process group that splits parameters (dp_shard, tp), three all_gathers:
    of all row and column sums, of mean(row), of RMS(p) and RMS(U).
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})
        self.updates = 0
        self._key: tuple[int, ...] = ()
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = _statistics(parameter)

    @torch.no_grad()
    def step(self, closure: None = None, *, scale: Tensor | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient; gradients are first multiplied by `scale`, 0-dim on their
        device."""
        self.updates += 1
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not parameters:
            return
        self._observe(parameters, scale)
        factors = self._factors(parameters)
        means = self._means(parameters)
        sizes = means.of(square_sums([local(p) for p in parameters])).sqrt_().clamp_(min=PARAMETER_FLOOR)
        sums = [factored_square_sum(matrix(local_gradient(p)), scale, *factors[p]) for p in parameters]
        clips = means.of(torch.stack(sums)).sqrt_().div_(CLIP).clamp_(min=1.0)
        place = {parameter: number for number, parameter in enumerate(parameters)}
        for group in self.param_groups:
            rates = sizes * group["lr"]
            decays, steps = (rates * group["weight_decay"]).unbind(), (rates / clips).unbind()
            for parameter in group["params"]:
                if parameter in place:
                    number, gradient = place[parameter], matrix(local_gradient(parameter))
                    step = (decays[number], steps[number])
                    factored_step_(matrix(local(parameter)), gradient, scale, *factors[parameter], *step)

    def _means(self, parameters: list[Tensor]) -> Means:
        """Kept from step to step, where the same parameters have gradients."""
        key = tuple(map(id, parameters))
        if self._key != key:
            self._key, self._means_of_key = key, Means(parameters)
        return self._means_of_key

    def _observe(self, parameters: list[Tensor], scale: Tensor | None) -> None:
        """Fold the squares of the gradients into row, col and second."""
        fresh = self.updates**DECAY
        sums, groups, targets = [], [], []
        for parameter in parameters:
            gradient, state = local_gradient(parameter), self.state[parameter]
            if parameter.ndim != 2:
                squares = (gradient if scale is None else gradient * scale.to(gradient.dtype)).square()
                local(state["second"]).lerp_(squares.add_(GRADIENT_FLOOR), fresh)
                continue
            by_row, by_column = squared_sums(gradient, scale)
            rows, columns = parameter.shape
            sums += [by_row.div_(columns), by_column.div_(rows)]
            groups += [splitting(parameter, 1), splitting(parameter, 0)]
            targets += [local(state["row"]), local(state["col"])]
        sum_over(sums, groups)
        for target, value in zip(targets, sums, strict=True):
            target.lerp_(value, fresh)

    def _factors(self, parameters: list[Tensor]) -> dict[Tensor, tuple[Tensor, Tensor]]:
        """U = G rows columns^T, with G as a `matrix`: rows and columns of each parameter."""
        matrices = [p for p in parameters if p.ndim == 2]
        totals = [local(self.state[p]["row"]).sum() / p.shape[0] for p in matrices]
        sum_over(totals, [splitting(p, 0) for p in matrices])
        factors = {
            p: ((local(self.state[p]["row"]) / total).rsqrt_(), local(self.state[p]["col"]).rsqrt())
            for p, total in zip(matrices, totals, strict=True)
        }
        for parameter in parameters:
            if parameter.ndim != 2:
                second = local(self.state[parameter]["second"]).flatten()
                factors[parameter] = (second.new_ones(1), second.rsqrt())
        return factors


def matrix(tensor: Tensor) -> Tensor:
    """A matrix as it is, anything else as one row; a view."""
    return tensor if tensor.ndim == 2 else tensor.view(1, -1)


def _statistics(parameter: Tensor) -> dict[str, Tensor]:
    if parameter.ndim == 2:
        return {"row": zeros_along(parameter, 0), "col": zeros_along(parameter, 1)}
    return {"second": torch.zeros_like(parameter)}
