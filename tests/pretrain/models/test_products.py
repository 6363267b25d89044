"""Layers that read one input give, together, what each gives alone."""

import pytest
import torch
from torch import Tensor

from taixue.pretrain.models.products import Linear, joint_linear


def gradients(outputs: tuple[Tensor, ...], weights: list[Tensor], wanted: list[Tensor]) -> tuple[Tensor, ...]:
    loss = torch.stack([(out * weight).sum() for out, weight in zip(outputs, weights, strict=True)]).sum()
    return torch.autograd.grad(loss, wanted)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_values_and_gradients(bias: bool, compiled: bool) -> None:
    torch.manual_seed(1)
    layers = [Linear(6, width, bias=bias, dtype=torch.float64) for width in (4, 5, 8)]
    x = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    together = torch.compile(joint_linear, backend="aot_eager") if compiled else joint_linear
    found, expected = together(x, *layers), tuple(layer(x) for layer in layers)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    weights = [torch.randn_like(out) for out in expected]
    wanted = [x, *(parameter for layer in layers for parameter in layer.parameters())]
    pairs = zip(gradients(found, weights, wanted), gradients(expected, weights, wanted), strict=True)
    assert all(torch.allclose(one, other, rtol=1e-14, atol=1e-14) for one, other in pairs)


def test_an_output_that_nobody_uses_has_no_gradient() -> None:
    layers = [Linear(3, 2, bias=False) for _ in range(2)]
    x = torch.randn(4, 3, requires_grad=True)
    joint_linear(x, *layers)[1].sum().backward()
    assert layers[0].weight.grad is None
    assert layers[1].weight.grad is not None
    assert x.grad is not None
    assert torch.equal(x.grad, layers[1].weight.sum(0).expand(4, 3))
