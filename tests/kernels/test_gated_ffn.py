"""The gate's kernels: equal to float64, exact in the tails, keeping only their inputs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from taixue.kernels.gated_ffn import ACTIVATIONS, gate, reference

from .compare import assert_equals_float64, assert_same_bits
from .conftest import Way
from .machine import DEVICE, ON_GPU

pytestmark = pytest.mark.usefixtures("kernels")


def data(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sum(shape))
    a, b = (torch.randn(shape, generator=generator) for _ in range(2))
    return [(4 * a).to(DEVICE, dtype), b.to(DEVICE, dtype)]


@settings(max_examples=12)
@given(
    shape=st.sampled_from(((1,), (2, 3, 5), (7, 96), (1, 2048), (3, 2049))),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    dtype=st.sampled_from((torch.float32, torch.bfloat16, torch.float16)),
)
def test_equal_to_float64(shape: tuple[int, ...], activation: str, dtype: torch.dtype) -> None:
    assert_equals_float64(
        lambda a, b: gate(a, b, activation),
        lambda a, b: reference.gate(a, b, activation),
        data(shape, dtype),
    )


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_far_out(activation: str) -> None:
    """Values and slopes of saturated activations; no NaN."""
    a = torch.tensor([-1e4, -200.0, -20.0, -5.0, 0.0, 5.0, 20.0, 200.0, 1e4], device=DEVICE)
    tensors = [a, torch.ones_like(a)]
    assert_equals_float64(
        lambda a, b: gate(a, b, activation), lambda a, b: reference.gate(a, b, activation), tensors
    )


def test_called_and_compiled(way: Way) -> None:
    """On a GPU at a real size; with the same bits each time."""
    function, tensors = way(lambda a, b: gate(a, b, "gelu_new")), data((4096, 2816) if ON_GPU else (33, 65))
    assert_equals_float64(function, lambda a, b: reference.gate(a, b, "gelu_new"), tensors)
    assert_same_bits(function, tensors)


def test_backward_keeps_the_inputs_only() -> None:
    a, b = (t.requires_grad_() for t in data((8, 64)))
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.data_ptr()) or t, lambda t: t):
        gate(a, b, "gelu_new")
    assert sorted(kept) == sorted([a.data_ptr(), b.data_ptr()])


def test_the_op_keeps_torchs_contracts() -> None:
    a, b = (t.requires_grad_() for t in data((4, 32)))
    gate(a, b, "silu")
    torch.library.opcheck(torch.ops.taixue.gate.default, (a, b, "silu"))


def test_bad_input_is_refused() -> None:
    a = torch.randn(4, 8, device=DEVICE)
    with pytest.raises(ValueError, match="activation 'tanh' is not one of gelu"):
        gate(a, a, "tanh")
    with pytest.raises(ValueError, match=rf"a \(4, 8\) .*32 on {DEVICE}, b \(4, 7\) .*32 on {DEVICE}"):
        gate(a, a[:, :7], "relu")
    with pytest.raises(ValueError, match=r"b \(4, 8\) torch.bfloat16"):
        gate(a, a.bfloat16(), "relu")
    with pytest.raises(ValueError, match=r"nothing to gate: a \(0, 8\)"):
        gate(a[:0], a[:0], "relu")
    gate(a, a, "relu")  # registers the op
    with pytest.raises(ValueError, match=r"b \(8, 4\) has strides \(1, 8\): not contiguous"):
        torch.ops.taixue.gate(a.reshape(8, 4), a.t(), "relu")
