"""Linear layers whose three products are taken in eight bits (Micikevicius et al. 2022): off unless a run asks.

Activations and weights are e4m3, gradients e5m2, each divided by a scale so that its largest number is the format's;
products accumulate in fp32 and are given in the dtype of x. Scales are of the numbers at hand ("dynamic"): one for a
whole tensor, or one for each row of the left and each column of the right factor, along which no sum runs. Nothing is
remembered from step to step. Needs a GPU of compute capability 8.9 (the CPU has it, too, slowly).

Letters: N tokens, K width of the input, F of the output.
"""

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, autograd

__all__ = ["SCALINGS", "Scaling", "fp8_linears", "obstacle"]

Scaling = Literal["tensor", "row"]
SCALINGS: tuple[str, ...] = get_args(Scaling)

MULTIPLE = 16
"""Of which the products take lengths."""

CAPABILITY = (8, 9)
SMALLEST = 1e-12
"""No scale is smaller: zeros stay zeros."""


def obstacle(device: torch.device) -> str:
    """Why this device cannot; "" when it can."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < CAPABILITY:
        found = ".".join(map(str, torch.cuda.get_device_capability(device)))
        return f"compute capability {found}, eight-bit products need {'.'.join(map(str, CAPABILITY))}"
    return ""


def fp8_linears(
    x: Tensor, weights: tuple[Tensor, ...], biases: tuple[Tensor | None, ...], scaling: Scaling
) -> tuple[Tensor, ...]:
    """x weight^T + bias for each: x (..., K), weights (F, K), biases (F) or None -> (..., F), in the dtype of x.

    The input is converted once for all. Raises ValueError where K or an F is no multiple of 16.
    """
    for weight in weights:
        if weight.shape[0] % MULTIPLE or weight.shape[1] % MULTIPLE:
            raise ValueError(f"weight {tuple(weight.shape)}: both lengths must be multiples of {MULTIPLE}")
    outputs = _Products.apply(x, scaling, *weights)
    return tuple(
        out if bias is None else out + bias.to(out.dtype) for out, bias in zip(outputs, biases, strict=True)
    )


class _Products(autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scaling: Scaling, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(x, *weights)
        ctx.scaling = scaling
        rows = x.flatten(0, -2)
        left = _scaled(rows, torch.float8_e4m3fn, scaling)
        return tuple(
            _product(left, _scaled(weight, torch.float8_e4m3fn, scaling), x.dtype).view(
                *x.shape[:-1], weight.shape[0]
            )
            for weight in weights
        )

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        scaling = ctx.scaling
        columns = _scaled(_whole(x.flatten(0, -2)).t(), torch.float8_e4m3fn, scaling)  # (K, N)
        of_x: Tensor | None = None
        of_weights = []
        for grad, weight in zip(grads, weights, strict=True):
            flat = grad.flatten(0, -2)
            left = _scaled(flat, torch.float8_e5m2, scaling)
            part = _product(left, _scaled(weight.t(), torch.float8_e4m3fn, scaling), x.dtype)
            of_x = part if of_x is None else of_x.add_(part)
            turned = _scaled(_whole(flat).t(), torch.float8_e5m2, scaling)  # (F, N)
            of_weights.append(_product(turned, columns, weight.dtype))
        assert of_x is not None
        return of_x.view_as(x), None, *of_weights


def _whole(rows: Tensor) -> Tensor:
    """With rows of zeros up to a multiple of 16: they are summed over."""
    return F.pad(rows, (0, 0, 0, -rows.shape[0] % MULTIPLE))


def _scaled(matrix: Tensor, dtype: torch.dtype, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """(matrix / scale in eight bits, scale): one scale, 0-dim, or one for each row, (rows, 1). fp32."""
    largest = torch.finfo(dtype).max
    wide = matrix.float()
    peak = wide.abs().amax() if scaling == "tensor" else wide.abs().amax(1, keepdim=True)
    scale = (peak / largest).clamp(min=SMALLEST)
    return (wide / scale).clamp(-largest, largest).to(dtype).contiguous(), scale


def _product(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor], dtype: torch.dtype) -> Tensor:
    """left (N, K) times right (F, K) transposed -> (N, F)."""
    scales = (left[1], right[1].t() if right[1].ndim else right[1])
    if left[1].ndim and left[0].device.type == "cpu" and torch.__version__ < "2.13":
        # torch 2.11 has no rows of scales on CPUs: the product of the converted numbers, as it is defined.
        return ((left[0].float() @ right[0].float().t()) * scales[0] * scales[1]).to(dtype)
    out = dtype if dtype in (torch.bfloat16, torch.float16) else torch.bfloat16
    if left[1].ndim == 0:
        out = dtype
    return torch._scaled_mm(left[0], right[0].t(), *scales, out_dtype=out).to(dtype)
