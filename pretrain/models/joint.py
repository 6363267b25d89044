"""Linear layers that read one input: their gradients of it are added by the products themselves.

Apart, each layer makes a gradient of the input, and autograd adds these in passes over memory of their own. The
forward products stay apart: concatenated weights would have to be kept for the backward pass, also where sharded data
parallelism lets go of gathered ones.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, autograd, nn


def joint_linear(x: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """layer(x) of each: x (..., D), weights (F, D), biases (F) -> (..., F). All have a bias or none. The layers' own
    forward is not called."""
    biases = [layer.bias for layer in layers if layer.bias is not None]
    return _Joint.apply(x, len(layers), *(layer.weight for layer in layers), *biases)


class _Joint(autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, count: int, *parameters: Tensor) -> tuple[Tensor, ...]:
        weights, biases = parameters[:count], parameters[count:] or (None,) * count
        ctx.save_for_backward(x, *weights)
        ctx.biased = len(parameters) > count
        ctx.set_materialize_grads(False)
        return tuple(F.linear(x, weight, bias) for weight, bias in zip(weights, biases, strict=True))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        rows = x.flatten(0, -2)
        total: Tensor | None = None
        of_weights: list[Tensor | None] = [None] * len(weights)
        of_biases: list[Tensor | None] = [None] * len(weights)
        wanted, trained = ctx.needs_input_grad[0], ctx.needs_input_grad[2:]
        for number, (grad, weight) in enumerate(zip(grads, weights, strict=True)):
            if grad is None:
                continue
            flat = grad.flatten(0, -2)
            if wanted:
                total = flat @ weight if total is None else total.addmm_(flat, weight)
            if trained[number]:
                of_weights[number] = flat.t() @ rows
            if ctx.biased and trained[len(weights) + number]:
                of_biases[number] = flat.sum(0)
        of_x = None if total is None else total.view_as(x)
        return of_x, None, *of_weights, *(of_biases if ctx.biased else ())
