"""activation(a) * b and its gradients in Triton, elementwise in fp32.

Forward moves 3 numbers per element, backward 5: a, b and the gradient in, two gradients out. GELU's tanh form is
x sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3), which is exact in the tails and needs no tanh.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..dispatch.registration import register

BLOCK = 2048


@triton.jit
def _sigmoid(x):
    """1 / (1 + exp(-x)) without overflow."""
    e = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, e) / (1.0 + e)


@triton.jit
def activate(x, KIND: tl.constexpr):
    """(activation(x), its derivative)."""
    if KIND == "gelu_new":
        s = _sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))
        slope = s + x * s * (1.0 - s) * 1.5957691216057308 * (1.0 + 0.134145 * x * x)
        value = x * s
    elif KIND == "gelu":
        cdf = 0.5 * (1.0 + tl.erf(x * 0.7071067811865476))
        slope = cdf + x * tl.exp(-0.5 * x * x) * 0.3989422804014327
        value = x * cdf
    elif KIND == "relu":
        slope = tl.where(x > 0, 1.0, 0.0)
        value = x * slope
    else:
        s = _sigmoid(x)
        slope = s * (1.0 + x * (1.0 - s))
        value = x * s
    return value, slope


@triton.jit
def gate_forward(A, B, Y, count, KIND: tl.constexpr, BLOCK: tl.constexpr, ACC: tl.constexpr):
    """y = activation(a) * b over `count` elements."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    a = tl.load(A + at, mask=inside, other=0.0).to(ACC)
    b = tl.load(B + at, mask=inside, other=0.0).to(ACC)
    value, _ = activate(a, KIND)
    tl.store(Y + at, (value * b).to(Y.dtype.element_ty), mask=inside)


@triton.jit
def gate_backward(G, A, B, DA, DB, count, KIND: tl.constexpr, BLOCK: tl.constexpr, ACC: tl.constexpr):
    """da = g b activation'(a), db = g activation(a)."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    g = tl.load(G + at, mask=inside, other=0.0).to(ACC)
    a = tl.load(A + at, mask=inside, other=0.0).to(ACC)
    b = tl.load(B + at, mask=inside, other=0.0).to(ACC)
    value, slope = activate(a, KIND)
    tl.store(DA + at, (g * b * slope).to(DA.dtype.element_ty), mask=inside)
    tl.store(DB + at, (g * value).to(DB.dtype.element_ty), mask=inside)


def _acc(tensor: Tensor) -> Any:
    return tl.float64 if tensor.dtype == torch.float64 else tl.float32


def _contiguous(**tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_contiguous():
            raise ValueError(f"{name} {tuple(tensor.shape)} has strides {tensor.stride()}: not contiguous")


def gate(a: Tensor, b: Tensor, activation: str) -> Tensor:
    """activation(a) * b for contiguous tensors of one shape and dtype."""
    _contiguous(a=a, b=b)
    out, count = torch.empty_like(a), a.numel()
    gate_forward[(triton.cdiv(count, BLOCK),)](a, b, out, count, KIND=activation, BLOCK=BLOCK, ACC=_acc(a))
    return out


def _gate_fake(a: Tensor, b: Tensor, activation: str) -> Tensor:
    return torch.empty_like(a)


def gradient(grad: Tensor, a: Tensor, b: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """Gradients of a and b."""
    _contiguous(grad=grad, a=a, b=b)
    da, db, count = torch.empty_like(a), torch.empty_like(b), a.numel()
    gate_backward[(triton.cdiv(count, BLOCK),)](
        grad, a, b, da, db, count, KIND=activation, BLOCK=BLOCK, ACC=_acc(a)
    )
    return da, db


def _gradient_fake(grad: Tensor, a: Tensor, b: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    return torch.empty_like(a), torch.empty_like(b)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, str], output: Tensor) -> None:
    a, b, ctx.activation = inputs
    ctx.save_for_backward(a, b)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
    return *torch.ops.taixue.gate_backward(grad.contiguous(), *ctx.saved_tensors, ctx.activation), None


register("gate", gate, _gate_fake, _save, _backward)
register("gate_backward", gradient, _gradient_fake)
