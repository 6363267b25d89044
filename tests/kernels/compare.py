"""Kernels beside float64: the same function of the same numbers, values and all gradients."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 4e-3}
"""Largest relative error |a - b| / |b| of a tensor."""

Function = Callable[..., Tensor | tuple[Tensor, ...]]


def values_and_gradients(function: Function, tensors: Sequence[Tensor | None], seed: int = 0) -> list[Tensor]:
    """Outputs of function(*tensors), then the gradients of the tensors for random gradients of the outputs."""
    inputs = [None if t is None else t.detach().clone().requires_grad_() for t in tensors]
    outputs = function(*inputs)
    outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
    generator = torch.Generator().manual_seed(seed)
    grads = [
        torch.randn(out.shape, generator=generator, dtype=torch.float64).to(tensors[0].dtype).to(out)  # type: ignore[union-attr]
        for out in outputs
    ]
    torch.autograd.backward(outputs, grads)
    return [out.detach() for out in outputs] + [t.grad for t in inputs if t is not None]  # type: ignore[misc]


def assert_equals_float64(
    fast: Function, reference: Function, tensors: Sequence[Tensor | None], floor: float = 0.0
) -> None:
    """fast in the tensors' dtype beside reference in float64. floor: tensors smaller than this are measured by it."""
    dtype = next(tensor.dtype for tensor in tensors if tensor is not None)
    got = values_and_gradients(fast, tensors)
    expected = values_and_gradients(reference, [None if t is None else t.double() for t in tensors])
    for index, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert a.shape == b.shape, index
        error = (a.double() - b).norm() / max(b.norm().item(), floor, 1e-300)
        assert error <= TOLERANCES[dtype], f"tensor {index} of {len(got)}: relative error {error:.1e}"


def assert_same_bits(fast: Function, tensors: Sequence[Tensor | None]) -> None:
    """Two runs give the same bits."""
    first, second = (values_and_gradients(fast, tensors) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
