"""Optimizer steps in PyTorch, on plain local tensors. Gradients may be overwritten.

Letters: N rows and M columns of a matrix.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw

GRADIENT_FLOOR = 1e-30
"""Added to squared gradients by Adafactor."""

TOGETHER = 2**24
"""Numbers that one multi-tensor call works on: its temporaries are of this size."""

Tensors = Sequence[Tensor]


def square_sums(tensors: Tensors) -> Tensor:
    """Sum of squares of each tensor, (len(tensors),) float64."""
    return torch.stack(torch._foreach_norm(list(tensors))).double().square()


def adamw_step(
    parameters: Tensors,
    gradients: Tensors,
    means: Tensors,
    squares: Tensors,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    step: int,
    scale: Tensor | None,
    sizes: Tensor | None,
) -> None:
    """See kernels.optim.adamw_step."""
    if scale is not None:
        torch._foreach_mul_(list(gradients), scale.to(gradients[0].dtype))
    beta1, beta2 = betas
    if sizes is None:
        before = torch.full((len(parameters),), step - 1.0, device=parameters[0].device).unbind()
        adamw(
            list(parameters), list(gradients), list(means), list(squares), [], list(before),
            fused=True, amsgrad=False, maximize=False,
            lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay,
        )  # fmt: skip
        return
    rates = (sizes * (lr / (1 - beta1**step))).to(parameters[0].dtype)
    for part in _together(parameters):
        params, grads, firsts, seconds = (
            list(tensors[part]) for tensors in (parameters, gradients, means, squares)
        )
        torch._foreach_lerp_(firsts, grads, 1 - beta1)
        torch._foreach_mul_(seconds, beta2)
        torch._foreach_addcmul_(seconds, grads, grads, 1 - beta2)
        updates = torch._foreach_div(seconds, 1 - beta2**step)
        torch._foreach_sqrt_(updates)
        torch._foreach_add_(updates, eps)
        torch._foreach_reciprocal_(updates)
        torch._foreach_mul_(updates, firsts)
        torch._foreach_mul_(updates, list(rates[part].unbind()))
        torch._foreach_mul_(params, 1 - lr * weight_decay)
        torch._foreach_sub_(params, updates)


def _together(tensors: Tensors) -> Iterator[slice]:
    """Consecutive tensors of at most TOGETHER numbers, or one larger tensor."""
    start, held = 0, 0
    for index, tensor in enumerate(tensors):
        if index > start and held + tensor.numel() > TOGETHER:
            yield slice(start, index)
            start, held = index, 0
        held += tensor.numel()
    yield slice(start, len(tensors))


def squared_sums(gradient: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sums over columns (N) and over rows (M) of (scale gradient)^2 + GRADIENT_FLOOR. gradient (N, M)."""
    squares = (gradient if scale is None else gradient * scale).square().add_(GRADIENT_FLOOR)
    return squares.sum(1), squares.sum(0)


def factored_square_sum(gradient: Tensor, scale: Tensor | None, rows: Tensor, columns: Tensor) -> Tensor:
    """Sum of squares of U = scale gradient rows columns^T; 0-dim float64. gradient (N, M), rows (N), columns (M)."""
    return torch.linalg.vector_norm(_factored(gradient, scale, rows, columns)).double().square()


def factored_step_(
    parameter: Tensor,
    gradient: Tensor,
    scale: Tensor | None,
    rows: Tensor,
    columns: Tensor,
    decay: Tensor,
    rate: Tensor,
) -> None:
    """parameter <- parameter (1 - decay) - rate U, U as in factored_square_sum; decay and rate 0-dim."""
    parameter.mul_(1 - decay).sub_(_factored(gradient, scale, rows, columns).mul_(rate))


def _factored(gradient: Tensor, scale: Tensor | None, rows: Tensor, columns: Tensor) -> Tensor:
    return gradient * (rows if scale is None else rows * scale).unsqueeze(1) * columns.unsqueeze(0)
