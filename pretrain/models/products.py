"""Linear layers, alone or several on one input.

Of several, the gradients of the input are added by the products themselves. Apart, each layer makes a gradient of the
input, and autograd adds these in passes over memory of their own. The forward products stay apart: concatenated weights
would have to be kept for the backward pass, also where sharded data parallelism lets go of gathered ones.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, autograd, nn

from taixue.kernels.fp8 import Scaling, fp8_linears


class Linear(nn.Linear):
    """One of the large products of a layer. scaling: how its factors are scaled to eight bits; None: they are not."""

    scaling: Scaling | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.scaling is None:
            return super().forward(x)
        return joint_linear(x, self)[0]

    def product(self, x: Tensor) -> Tensor:
        """Without the bias."""
        if self.scaling is None:
            return F.linear(x, self.weight)
        return fp8_linears(x, (self.weight,), (None,), self.scaling)[0]


def joint_linear(x: Tensor, *layers: Linear) -> tuple[Tensor, ...]:
    """layer(x) of each: x (..., D), weights (F, D), biases (F) -> (..., F). All are alike but for F. The layers' own
    forward is called only where one has hooks."""
    scaling = layers[0].scaling
    if scaling is not None:
        weights, biases = zip(*((layer.weight, layer.bias) for layer in layers), strict=True)
        return fp8_linears(x, weights, biases, scaling)
    if any(layer._forward_hooks for layer in layers):
        return tuple(layer(x) for layer in layers)
    given = [layer.bias for layer in layers if layer.bias is not None]
    return _Joint.apply(x, len(layers), *(layer.weight for layer in layers), *given)


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
