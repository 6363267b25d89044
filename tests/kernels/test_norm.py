"""The norm kernels: equal to float64, deterministic, at home in torch's machinery."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from taixue.kernels.dropout import Draws, dropout
from taixue.kernels.norm import add_layer_norm, add_rms_norm, layer_norm, reference, rms_norm

from .compare import assert_equals_float64, assert_same_bits
from .conftest import Way
from .machine import DEVICE, ON_GPU

pytestmark = pytest.mark.usefixtures("kernels")
EPS = 1e-6


def data(rows: int, width: int, bias: bool, dtype: torch.dtype = torch.float32) -> list[Tensor | None]:
    """x, update, weight, bias."""
    generator = torch.Generator().manual_seed(rows * 1000 + width)
    shapes = ((rows, width), (rows, width), (width,), (width,))
    tensors = [torch.randn(shape, generator=generator).to(DEVICE, dtype) for shape in shapes]
    return tensors if bias else [*tensors[:3], None]


def fused(x: Tensor, update: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    if bias is None:
        return add_rms_norm(x, update, weight, EPS)
    return add_layer_norm(x, update, weight, bias, EPS)


def alone(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return rms_norm(x, weight, EPS) if bias is None else layer_norm(x, weight, bias, EPS)


@settings(max_examples=12)
@given(
    rows=st.sampled_from((1, 2, 3, 17, 70)),
    width=st.sampled_from((2, 33, 64, 96, 1025)),
    bias=st.booleans(),
    dtype=st.sampled_from((torch.float32, torch.bfloat16, torch.float16)),
)
def test_equal_to_float64(rows: int, width: int, bias: bool, dtype: torch.dtype) -> None:
    x, update, weight, shift = data(rows, width, bias, dtype)
    # A row of two numbers has next to no gradient through LayerNorm: what is left is rounding of what cancels.
    floor = rows**0.5
    assert_equals_float64(
        fused, lambda *four: reference.add_norm(*four, EPS, None), [x, update, weight, shift], floor
    )
    assert_equals_float64(alone, lambda *three: reference.norm(*three, EPS), [x, weight, shift], floor)


def test_more_rows_than_partial_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    from taixue.kernels.norm import triton

    monkeypatch.setattr(triton, "PROGRAMS", 3)
    tensors = data(50, 1100, True)
    assert_equals_float64(fused, lambda *four: reference.add_norm(*four, EPS, None), tensors)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.1])
def test_called_and_compiled(way: Way, bias: bool, p: float) -> None:
    """On a GPU at a real size; with the same bits each time."""
    batch, length, width = (8, 512, 1024) if ON_GPU else (3, 7, 96)
    tensors, shape = data(batch * length, width, bias), (batch, length, width)
    numbers = draws(p, batch) if p else None

    def fast(x: Tensor, update: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        x, update = x.view(shape), update.view(shape)
        if bias is None:
            return add_rms_norm(x, update, weight, EPS, numbers)
        return add_layer_norm(x, update, weight, bias, EPS, numbers)

    def plain(x: Tensor, update: Tensor, *two: Tensor | None) -> tuple[Tensor, Tensor]:
        return reference.add_norm(x.view(shape), update.view(shape), *two, EPS, numbers)

    function = way(fast)
    assert_equals_float64(function, plain, tensors)
    assert_same_bits(function, tensors)


def test_one_of_two_results_may_go_unused() -> None:
    x, update, weight, shift = data(5, 40, True)
    assert_equals_float64(
        lambda *four: fused(*four)[1],
        lambda *four: reference.add_norm(*four, EPS, None)[1],
        [x, update, weight, shift],
    )
    assert_equals_float64(lambda a, b: fused(a, b, weight, shift)[0], torch.add, [x, update])


def draws(p: float, batch: int, site: int = 5, first_row: int = 0) -> Draws:
    stream = torch.tensor([3, 4, site], device=DEVICE)
    return Draws(p, stream, torch.arange(batch, device=DEVICE) + 11, first_row=first_row)


@settings(max_examples=8)
@given(
    shape=st.sampled_from(((1, 1, 2), (2, 5, 33), (3, 7, 64), (17, 96), (2, 3, 1025))),
    bias=st.booleans(),
    dtype=st.sampled_from((torch.float64, torch.float32, torch.bfloat16)),
    p=st.sampled_from((0.1, 0.5, 0.9)),
    first_row=st.integers(0, 600),
)
def test_dropout_is_the_references(
    shape: tuple[int, ...], bias: bool, dtype: torch.dtype, p: float, first_row: int
) -> None:
    rows = torch.Size(shape[:-1]).numel()
    x, update, weight, shift = data(rows, shape[-1], bias, dtype)
    numbers = draws(p, shape[0], first_row=first_row)

    def fast(x: Tensor, update: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        x, update = x.view(shape), update.view(shape)
        if bias is None:
            return add_rms_norm(x, update, weight, EPS, numbers)
        return add_layer_norm(x, update, weight, bias, EPS, numbers)

    plain = lambda x, update, *two: reference.add_norm(x.view(shape), update.view(shape), *two, EPS, numbers)  # noqa: E731
    assert_equals_float64(fast, plain, [x, update, weight, shift], rows**0.5)


def test_dropout_drops_its_share_and_backward_the_same_elements() -> None:
    ones = torch.ones(8, 8, 128, device=DEVICE)
    x, weight, p = 0 * ones, ones[0, 0].clone(), 0.25
    update = ones.clone().requires_grad_()
    total, normed = add_rms_norm(x, update, weight, EPS, draws(p, 8))
    kept = total.detach() != 0
    assert torch.equal(total.detach(), dropout(torch.ones_like(x), draws(p, 8)))
    assert abs(kept.double().mean().item() - (1 - p)) < 0.02
    (total.sum() + 0 * normed.sum()).backward()
    assert torch.equal(update.grad != 0, kept)
    assert torch.equal(add_rms_norm(x, update, weight, EPS, draws(p, 8))[0], total)
    assert not torch.equal(add_rms_norm(x, update, weight, EPS, draws(p, 8, site=6))[0], total)
    part = add_rms_norm(
        x[2:5, 3:], update[2:5, 3:], weight, EPS, Draws(p, draws(p, 8).stream, draws(p, 8).samples[2:5], 3)
    )
    assert torch.equal(part[0], total[2:5, 3:])


def test_checkpointing_draws_the_same_numbers_again() -> None:
    x, update, weight, _ = data(9, 64, False)

    def gradients(wrap: bool) -> list[Tensor]:
        inputs = [t.clone().requires_grad_() for t in (x, update, weight)]
        function = lambda a, b, c: add_rms_norm(a, b, c, EPS, draws(0.3, 9))  # noqa: E731
        out = checkpoint(function, *inputs, use_reentrant=False) if wrap else function(*inputs)
        (out[0] * out[1]).sum().backward()
        return [t.grad for t in inputs]

    assert all(torch.equal(a, b) for a, b in zip(gradients(False), gradients(True), strict=True))


def test_the_ops_keep_torchs_contracts() -> None:
    x, update, weight, shift = data(4, 32, True)
    inputs = [t.requires_grad_() for t in (x, update, weight, shift)]
    rms_norm(x, weight, EPS)  # registers the ops
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_static")
    torch.library.opcheck(torch.ops.taixue.norm.default, (*inputs, EPS, 0.0, None, None, 0), test_utils=tests)
    numbers = draws(0.3, 2, first_row=7)
    place = (0.3, numbers.stream, numbers.samples, 7)
    torch.library.opcheck(torch.ops.taixue.norm.default, (*inputs, EPS, *place), test_utils=tests)


def test_bad_input_is_refused() -> None:
    x, weight = torch.randn(4, 8, device=DEVICE), torch.ones(8, device=DEVICE)
    with pytest.raises(ValueError, match=r"weight \(7,\) does not fit x \(4, 8\)"):
        rms_norm(x, weight[:7], EPS)
    with pytest.raises(ValueError, match=r"nothing to normalise: x \(0, 8\)"):
        rms_norm(x[:0], weight, EPS)
    with pytest.raises(ValueError, match=rf"update \(3, 8\) torch.float32 on {DEVICE}, x \(4, 8\)"):
        add_rms_norm(x, x[:3], weight, EPS)
    with pytest.raises(ValueError, match=r"update \(4, 8\) torch.float64"):
        add_rms_norm(x, x.double(), weight, EPS)
    with pytest.raises(ValueError, match=f"weight on meta, x on {DEVICE}"):
        rms_norm(x, weight.to("meta"), EPS)
    with pytest.raises(ValueError, match=r"samples \(3,\): must be \(3,\) and \(4,\)"):
        add_rms_norm(x, x, weight, EPS, draws(0.1, 3))
    with pytest.raises(ValueError, match=r"x \(8, 4\) has strides \(1, 8\): not contiguous"):
        torch.ops.taixue.norm(x.t(), None, weight[:4], None, EPS, 0.0, None, None, 0)
    assert torch.equal(rms_norm(x.t(), weight[:4], EPS), rms_norm(x.t().contiguous(), weight[:4], EPS))
