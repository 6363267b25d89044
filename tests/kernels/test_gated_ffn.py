"""The gate's kernels in Triton's interpreter: equal to float64, exact in the tails, keeping only their inputs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from taixue.kernels import dispatch
from taixue.kernels.gated_ffn import ACTIVATIONS, gate, reference

from .compare import assert_equals_float64, assert_same_bits

pytest.importorskip("triton")


@pytest.fixture(autouse=True)
def _interpreter():
    with dispatch.using("interpret"):
        yield


def data(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sum(shape))
    a, b = (torch.randn(shape, generator=generator) for _ in range(2))
    return [(4 * a).to(dtype), b.to(dtype)]


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
    a = torch.tensor([-1e4, -200.0, -20.0, -5.0, 0.0, 5.0, 20.0, 200.0, 1e4])
    tensors = [a, torch.ones_like(a)]
    assert_equals_float64(
        lambda a, b: gate(a, b, activation), lambda a, b: reference.gate(a, b, activation), tensors
    )


def test_run_to_run_equal_bits() -> None:
    assert_same_bits(lambda a, b: gate(a, b, "gelu_new"), data((33, 65)))


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
    a = torch.randn(4, 8)
    with pytest.raises(ValueError, match="activation 'tanh' is not one of gelu"):
        gate(a, a, "tanh")
    with pytest.raises(ValueError, match=r"a \(4, 8\) torch.float32 on cpu, b \(4, 7\) torch.float32 on cpu"):
        gate(a, a[:, :7], "relu")
    with pytest.raises(ValueError, match=r"b \(4, 8\) torch.bfloat16"):
        gate(a, a.bfloat16(), "relu")
    with pytest.raises(ValueError, match=r"nothing to gate: a \(0, 8\)"):
        gate(a[:0], a[:0], "relu")
    gate(a, a, "relu")  # registers the op
    with pytest.raises(ValueError, match=r"b \(8, 4\) has strides \(1, 8\): not contiguous"):
        torch.ops.taixue.gate(a.reshape(8, 4), a.t(), "relu")
