"""Inputs that cannot be meant are refused with their shapes, on both paths."""

from typing import Any

import pytest
import torch
from torch import Tensor

from taixue.kernels import dispatch
from taixue.kernels.attention import attention, attention_bias

from ..machine import DEVICE, KERNELS
from .calls import draws

pytest.importorskip("triton")

PATHS = pytest.mark.parametrize("mode", ["reference", KERNELS])


def x(*shape: int, dtype: torch.dtype = torch.float32, device: torch.device | str = DEVICE) -> Tensor:
    return torch.ones(shape, dtype=dtype, device=device)


Q = x(2, 4, 6, 8)
HALF = x(2, 4, 6, 8, dtype=torch.bfloat16)
META = x(2, 4, 6, 8, device="meta")

CALLS: dict[str, tuple[tuple[Tensor, Tensor, Tensor], dict[str, Any], str]] = {
    "three dimensions": (
        (x(2, 6, 8), Q, Q),
        {},
        r"query \(2, 6, 8\).*must be \(batch, heads, length, head dim\)",
    ),
    "batches": (
        (x(3, 4, 6, 8), Q, Q),
        {},
        r"query \(3, 4, 6, 8\), key \(2, 4, 6, 8\).*batch, heads and head dim",
    ),
    "heads": ((x(2, 3, 6, 8), Q, Q), {}, r"query \(2, 3, 6, 8\), key \(2, 4, 6, 8\)"),
    "head dims": ((x(2, 4, 6, 4), Q, Q), {}, r"query \(2, 4, 6, 4\), key \(2, 4, 6, 8\)"),
    "key and value": ((Q, Q, x(2, 4, 5, 8)), {}, r"value \(2, 4, 5, 8\).*lengths of key and value"),
    "no query": ((x(2, 4, 0, 8), Q, Q), {}, r"query \(2, 4, 0, 8\).*no dimension may be 0"),
    "no key": ((Q, x(2, 4, 0, 8), x(2, 4, 0, 8)), {}, "no dimension may be 0"),
    "dtypes": ((HALF, Q, Q), {}, r"query torch.bfloat16, key torch.float32.*one dtype"),
    "devices": ((META, Q, Q), {}, r"query on meta, key on"),
    "dropout": ((Q, Q, Q), {"dropout": draws(1.0, 2)}, r"dropout 1.0: must be at least 0 and below 1"),
    "samples": ((Q, Q, Q), {"dropout": draws(0.1, 3)}, r"samples \(3,\): must be \(3,\) and \(2,\)"),
    "too many heads": ((Q, Q, Q), {"dropout": draws(0.1, 2, first_head=1021)}, "addresses 1024 heads"),
}


@PATHS
@pytest.mark.parametrize("name", CALLS)
def test_tensors_that_disagree(name: str, mode: str) -> None:
    tensors, options, message = CALLS[name]
    with dispatch.using(mode), pytest.raises(ValueError, match=message):
        attention(*tensors, None, scale=1.0, **options)


IDS = torch.zeros(2, 6, dtype=torch.int32, device=DEVICE)
SEEN = torch.ones(2, 6, dtype=torch.bool, device=DEVICE)
GROUPS = torch.zeros(2, 1, 6, dtype=torch.int32, device=DEVICE)

BIASES: dict[str, tuple[tuple[int, int], dict[str, Any], str]] = {
    "no length": ((0, 6), {"causal": True}, "0 queries and 6 keys: both must be at least 1"),
    "table": ((6, 6), {"table": x(8)}, r"table \(8,\): must be \(buckets, heads\)"),
    "mask of other length": ((6, 5), {"key_mask": SEEN}, r"key_mask \(2, 6\): must be \(batch, 5\)"),
    "mask of numbers": ((6, 6), {"key_mask": IDS}, "key_mask of torch.int32: must be bool"),
    "half of the segments": ((6, 6), {"key_segments": IDS}, "come together"),
    "segments of other length": (
        (5, 6),
        {"query_segments": IDS, "key_segments": IDS},
        r"query_segments \(2, 6\): must be \(batch, 5\)",
    ),
    "fractional segments": (
        (6, 6),
        {"query_segments": IDS.float(), "key_segments": IDS},
        "query_segments of torch.float32: must be integers",
    ),
    "groups across": ((6, 5), {"groups": GROUPS}, r"groups \(2, 1, 6\) for 6 queries and 5 keys"),
    "fractional groups": ((6, 6), {"groups": GROUPS.float()}, "groups of torch.float32"),
    "batches": ((6, 6), {"key_mask": SEEN[:1], "groups": GROUPS}, r"different batch sizes: \[1, 2\]"),
}


@PATHS
@pytest.mark.parametrize("name", BIASES)
def test_a_bias_that_cannot_be(name: str, mode: str) -> None:
    lengths, options, message = BIASES[name]
    with dispatch.using(mode), pytest.raises(ValueError, match=message):
        attention_bias(*lengths, **options, dtype=torch.float32, device=DEVICE)


PAIRS: dict[str, tuple[tuple[int, int], dict[str, Any], dict[str, Any], str]] = {
    "lengths": (
        (5, 6),
        {"causal": True},
        {},
        r"bias made for 5 queries and 6 keys, but query \(2, 4, 6, 8\)",
    ),
    "heads": (
        (6, 6),
        {"table": x(8, 3)},
        {},
        r"position bias \(8, 3\) is for 3 heads, but query \(2, 4, 6, 8\)",
    ),
    "mask": ((6, 6), {"key_mask": SEEN[:1]}, {}, r"key_mask \(1, 6\) for 1 samples"),
    "groups": ((6, 6), {"groups": GROUPS[:1]}, {}, r"groups \(1, 1, 6\) for 1 samples"),
    "kinds": ((6, 6), {"groups": GROUPS}, {"group_scale": x(2, 4)}, r"group_scale \(2, 4\).*\(1, 4\)"),
}


@PATHS
@pytest.mark.parametrize("name", PAIRS)
def test_a_bias_of_other_tensors(name: str, mode: str) -> None:
    lengths, of_bias, of_call, message = PAIRS[name]
    with dispatch.using(mode):
        bias = attention_bias(*lengths, **of_bias, dtype=torch.float32, device=DEVICE)
        with pytest.raises(ValueError, match=message):
            attention(Q, Q, Q, bias, scale=1.0, **of_call)
