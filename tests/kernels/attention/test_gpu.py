"""What only a GPU can show: the compiled kernels at real sizes, and memory that grows with the length."""

from dataclasses import replace

import pytest
import torch

from taixue.kernels import dispatch
from taixue.kernels.attention import attention, attention_bias

from ..machine import KERNELS, needs_gpu
from .calls import Call, run, worst

pytestmark = [pytest.mark.gpu, needs_gpu]

LARGE = Call(batch=2, heads=4, queries=700, keys=700, head_dim=64, max_distance=128)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize(
    "call",
    [
        LARGE,
        replace(LARGE, causal=True),
        replace(LARGE, queries=114, keys=512, table=False, mask=True),
        replace(LARGE, queries=512, keys=512),
        replace(LARGE, mask=True, segments=True, kinds=2),
    ],
    ids=str,
)
def test_real_sizes(call: Call, head_dim: int, dtype: torch.dtype) -> None:
    call = replace(call, head_dim=head_dim)
    inputs = call.inputs()
    first, second = (run(call, KERNELS, dtype, inputs=inputs) for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert worst(first, run(call, "reference", torch.float64, inputs=inputs)) <= 2e-2


def test_memory_grows_with_the_length() -> None:
    peaks = []
    for length in (2048, 4096):
        tensors = [
            torch.randn(1, 8, length, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
            for _ in range(3)
        ]
        table = torch.randn(32, 8, device="cuda", requires_grad=True)
        torch.cuda.reset_peak_memory_stats()
        with dispatch.using("auto"):
            bias = attention_bias(length, length, table=table, dtype=torch.bfloat16, device=tensors[0].device)
            attention(*tensors, bias, scale=1.0).sum().backward()
        peaks.append(torch.cuda.max_memory_allocated())
        del tensors, table, bias
    assert peaks[1] < 2.5 * peaks[0]
    assert peaks[1] < 8 * 4096 * 4096  # not one number for each pair
