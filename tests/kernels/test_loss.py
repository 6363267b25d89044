"""The chunked projection and cross-entropy: equal to plain PyTorch in float64, without the logits, split or whole."""

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from taixue.kernels import dispatch
from taixue.kernels.loss import IGNORE, linear_cross_entropy_sum
from taixue.kernels.loss.linear import CHUNK, LEAST_ROWS, rows_of_chunk
from taixue.parallel.vocabulary import vocabulary_split

from ..dist import run_ranks
from .compare import assert_equals_float64, assert_same_bits, values_and_gradients
from .conftest import Way
from .machine import DEVICE, KERNELS, ON_GPU


def data(
    rows: int, width: int, vocabulary: int, bias: bool, dtype: torch.dtype = torch.float32
) -> tuple[list[Tensor | None], Tensor]:
    """[x, weight, bias], labels with some ignored."""
    generator = torch.Generator().manual_seed(rows + vocabulary)
    x = torch.randn(rows, width, generator=generator)
    weight = torch.randn(vocabulary, width, generator=generator) * 3 / width**0.5
    shift = torch.randn(vocabulary, generator=generator)
    labels = torch.randint(vocabulary, (rows,), generator=generator)
    labels[1::3] = IGNORE
    x, weight, shift = (tensor.to(DEVICE, dtype) for tensor in (x, weight, shift))
    return [x, weight, shift if bias else None], labels.to(DEVICE)


def plain(
    x: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, z: float, smoothing: float
) -> Tensor:
    """What the chunked loss must equal, on whole logits."""
    logits = F.linear(x, weight, bias)
    entropy = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum", label_smoothing=smoothing)
    return entropy + z * (logits.logsumexp(-1).square() * (labels != IGNORE)).sum()


@pytest.mark.parametrize("mode", ["reference", KERNELS])
@settings(max_examples=12)
@given(
    rows=st.sampled_from((1, 2, 7, 20)),
    vocabulary=st.sampled_from((2, 131, 1000, 4099)),
    bias=st.booleans(),
    options=st.sampled_from(((0.0, 0.0), (1e-2, 0.1))),
    chunk=st.sampled_from((None, 3)),
    dtype=st.sampled_from((torch.float32, torch.bfloat16)),
)
def test_equal_to_float64(
    mode: str,
    rows: int,
    vocabulary: int,
    bias: bool,
    options: tuple[float, float],
    chunk: int | None,
    dtype: torch.dtype,
) -> None:
    pytest.importorskip("triton")
    tensors, labels = data(rows, 24, vocabulary, bias, dtype)
    z, smoothing = options
    with dispatch.using(mode):
        assert_equals_float64(
            lambda *three: linear_cross_entropy_sum(
                *three, labels, z_loss=z, label_smoothing=smoothing, chunk_rows=chunk
            ),
            lambda *three: plain(*three, labels, z, smoothing),
            tensors,
        )


@pytest.mark.parametrize("mode", ["reference", KERNELS])
def test_float64_is_exact_and_bits_repeat(mode: str) -> None:
    pytest.importorskip("triton")
    tensors, labels = data(9, 16, 300, True)
    doubles = [None if t is None else t.double() for t in tensors]
    function = lambda *three: linear_cross_entropy_sum(*three, labels, chunk_rows=4)  # noqa: E731
    with dispatch.using(mode):
        got = values_and_gradients(function, doubles)
        assert_same_bits(function, tensors)
    expected = values_and_gradients(lambda *three: plain(*three, labels, 0.0, 0.0), doubles)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-13)


def test_extreme_logits_and_nothing_but_ignored_labels() -> None:
    tensors, labels = data(6, 8, 50, False)
    x, weight, _ = tensors
    with dispatch.using("reference"):
        loss = linear_cross_entropy_sum(1e4 * x, weight, None, labels)
        assert loss.isfinite()
        ignored = torch.full_like(labels, IGNORE)
        values = values_and_gradients(lambda a, b: linear_cross_entropy_sum(a, b, None, ignored), [x, weight])
    assert all(not value.any() for value in values)


class Largest(TorchDispatchMode):
    """The size of the largest tensor that any operation made."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.numel = max([self.numel, *sizes])
        return result


def test_the_logits_are_never_whole() -> None:
    (x, weight, _), labels = data(64, 8, 500, False)
    inputs = [x.requires_grad_(), weight.requires_grad_()]
    kept: list[int] = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t)
    with dispatch.using("reference"), Largest() as largest, hooks:
        linear_cross_entropy_sum(*inputs, None, labels, chunk_rows=4).backward()
    assert largest.numel == 500 * 8 < 64 * 500
    assert sorted(kept) == [64 * 8, 500 * 8]


def test_chunks_are_even_and_bounded() -> None:
    for rows, vocabulary in ((7296, 32128), (14592, 250112), (1, 10), (4096, 2**20)):
        size = rows_of_chunk(rows, vocabulary)
        assert size % 64 == 0
        assert size <= max(LEAST_ROWS, CHUNK // vocabulary) + 64
        assert -(-rows // size) * size - rows < 64 * -(-rows // size)


def test_no_gradient_is_computed_where_none_is_wanted() -> None:
    (x, weight, _), labels = data(5, 8, 40, False)
    with dispatch.using("reference"):
        assert not linear_cross_entropy_sum(x, weight, None, labels).requires_grad
        with torch.no_grad():
            weight.requires_grad_()
            assert not linear_cross_entropy_sum(x, weight, None, labels).requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_may_be_asked_again_and_apart(dtype: torch.dtype) -> None:
    tensors, labels = data(9, 8, 40, True, dtype)
    inputs = [t.requires_grad_() for t in tensors if t is not None]
    with dispatch.using("reference"):
        loss = linear_cross_entropy_sum(*inputs, labels, chunk_rows=4)
    factor = torch.tensor(0.37, device=DEVICE)
    together = torch.autograd.grad(loss, inputs, factor, retain_graph=True)
    apart = [torch.autograd.grad(loss, one, factor, retain_graph=True)[0] for one in inputs]
    assert all(torch.equal(a, b) for a, b in zip(together, apart, strict=True))
    assert factor == torch.tensor(0.37, device=DEVICE)


def _split(mode: str) -> float:
    """On one of two ranks: largest relative difference from one process, float64, all options."""
    tensors, labels = data(11, 12, 64, True)
    x, weight, bias = (t.double() for t in tensors if t is not None)
    rank, group = dist.get_rank(), dist.group.WORLD
    part = slice(rank * 32, rank * 32 + 32)
    with dispatch.using(mode):
        got = values_and_gradients(
            lambda *three: linear_cross_entropy_sum(*three, labels, split=vocabulary_split(three[1], group)),
            [x, weight[part], bias[part]],
        )
    dist.all_reduce(got[1])
    whole = values_and_gradients(lambda *three: plain(*three, labels, 0.0, 0.0), [x, weight, bias])
    expected = [whole[0], whole[1], whole[2][part], whole[3][part]]
    return max(((a - b).norm() / b.norm()).item() for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("mode", ["reference", KERNELS])
def test_a_vocabulary_split_over_ranks_gives_the_same(mode: str) -> None:
    pytest.importorskip("triton")
    assert max(run_ranks(_split, 2, mode)) <= 1e-13


def test_the_ops_keep_torchs_contracts() -> None:
    pytest.importorskip("triton")
    (x, weight, _), labels = data(4, 8, 40, False)
    with dispatch.using(KERNELS):
        linear_cross_entropy_sum(x, weight, None, labels)
        logits, lse = F.linear(x, weight), torch.randn(4, device=DEVICE)
        torch.library.opcheck(torch.ops.taixue.loss_statistics.default, (logits, labels, 0))
        torch.library.opcheck(
            torch.ops.taixue.loss_gradient.default, (logits, labels, 0, lse, 0.1, 0.9, 0.01)
        )


@pytest.mark.parametrize("mode", ["reference", KERNELS])
def test_called_and_compiled(way: Way, mode: str) -> None:
    """On a GPU at a real size; with the same bits each time."""
    rows, width, vocabulary = (2048, 1024, 32128) if ON_GPU else (9, 8, 40)
    tensors, labels = data(rows, width, vocabulary, True)
    with dispatch.using(mode):
        function = way(lambda *three: linear_cross_entropy_sum(*three, labels))
        assert_equals_float64(function, lambda *three: plain(*three, labels, 0.0, 0.0), tensors)
        assert_same_bits(function, tensors)


def test_bad_input_is_refused() -> None:
    (x, weight, bias), labels = data(4, 8, 40, True)
    with pytest.raises(ValueError, match=r"labels \(3,\) do not fit x \(4, 8\)"):
        linear_cross_entropy_sum(x, weight, None, labels[:3])
    with pytest.raises(ValueError, match=r"weight \(8, 40\) does not fit x \(4, 8\)"):
        linear_cross_entropy_sum(x, weight.t(), None, labels)
    with pytest.raises(ValueError, match=r"bias \(39,\) does not fit weight \(40, 8\)"):
        linear_cross_entropy_sum(x, weight, bias[:39], labels)
    with pytest.raises(ValueError, match=r"no positions: x \(0, 8\)"):
        linear_cross_entropy_sum(x[:0], weight, None, labels[:0])
    with pytest.raises(ValueError, match=r"weight is torch\.bfloat16, x is torch\.float32"):
        linear_cross_entropy_sum(x, weight.bfloat16(), None, labels)
    with pytest.raises(ValueError, match=r"labels are torch\.int32"):
        linear_cross_entropy_sum(x, weight, None, labels.int())
    with pytest.raises(ValueError, match=f"weight on meta, x on {DEVICE}"):
        linear_cross_entropy_sum(x, weight.to("meta"), None, labels)
    with dispatch.using(KERNELS):
        linear_cross_entropy_sum(x, weight, None, labels)
    with pytest.raises(ValueError, match=r"logits \(8, 40\) have strides \(1, 8\): not contiguous"):
        torch.ops.taixue.loss_statistics(weight.t(), labels.new_zeros(8), 0)
