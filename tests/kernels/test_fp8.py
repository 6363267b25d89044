"""Products in eight bits: equal to products of the converted numbers, close to those of the numbers themselves."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from taixue import UserError
from taixue.kernels.fp8 import Scaling, fp8_linears
from taixue.parallel.mesh import Layout
from taixue.parallel.runtime import Runtime
from taixue.parallel.spawn import run_ranks
from taixue.pretrain.config.schema import T5Config
from taixue.pretrain.models import model_spec
from taixue.pretrain.verify.batch import random_batch
from taixue.pretrain.verify.comparison import counts

scalings = pytest.mark.parametrize("scaling", get_args(Scaling))
MODEL = T5Config(
    vocab_size=96,
    d_model=32,
    d_kv=16,
    d_ff=64,
    num_heads=2,
    num_encoder_layers=1,
    num_decoder_layers=1,
    dropout=0.0,
)


def rounded(matrix: Tensor, dtype: torch.dtype, scaling: str) -> Tensor:
    """The numbers that eight bits with scales leave, in float64; written apart from the op."""
    groups = [matrix] if scaling == "tensor" else matrix.unbind(0)
    parts = []
    for group in groups:
        scale = max(group.abs().max().item() / torch.finfo(dtype).max, 1e-12)
        parts.append((group.float() / torch.tensor(scale)).to(dtype).double() * scale)
    return parts[0] if scaling == "tensor" else torch.stack(parts)


def close(found: Tensor, expected: Tensor, limit: float) -> bool:
    return bool((found.double() - expected).norm() <= limit * expected.norm())


@scalings
@pytest.mark.parametrize("tokens", [32, 21])
def test_every_product_is_that_of_the_converted_numbers(scaling: Scaling, tokens: int) -> None:
    e4, e5 = torch.float8_e4m3fn, torch.float8_e5m2
    torch.manual_seed(2)
    x = torch.randn(tokens, 32, dtype=torch.bfloat16, requires_grad=True)
    weights = tuple((3 * torch.randn(width, 32, dtype=torch.bfloat16)).requires_grad_() for width in (16, 48))
    biases = (torch.randn(16, dtype=torch.bfloat16), None)
    found = fp8_linears(x, weights, biases, scaling)
    grads = [torch.randn_like(out) for out in found]
    of_x, *of_weights = torch.autograd.grad(found, (x, *weights), grads)
    whole = torch.zeros((), dtype=torch.float64)
    for out, weight, bias, grad, of_weight in zip(found, weights, biases, grads, of_weights, strict=True):
        plain = out if bias is None else out.double() - bias.double()
        assert close(plain, rounded(x, e4, scaling) @ rounded(weight, e4, scaling).t(), 1e-2)
        whole = whole + rounded(grad, e5, scaling) @ rounded(weight.t(), e4, scaling).t()
        assert close(of_weight, rounded(grad.t(), e5, scaling) @ rounded(x.t(), e4, scaling).t(), 1e-2)
    assert close(of_x, whole, 1e-2)
    assert close(found[1], x.double() @ weights[1].double().t(), 6e-2)


@scalings
def test_zeros_stay_zeros(scaling: Scaling) -> None:
    x, weight = torch.zeros(16, 16, requires_grad=True), torch.zeros(16, 16, requires_grad=True)
    (out,) = fp8_linears(x, (weight,), (None,), scaling)
    out.sum().backward()
    assert not out.any()
    assert x.grad is not None
    assert not x.grad.any()


def test_odd_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(24, 16\).*multiples of 16"):
        fp8_linears(torch.zeros(2, 16), (torch.zeros(24, 16),), (None,), "row")


def _gradients(layout: Layout, eight_bits: str | None) -> dict[str, Tensor]:
    options = (
        {"dtype": torch.float32, "compute_dtype": torch.bfloat16} if eight_bits else {"dtype": torch.float64}
    )
    runtime = Runtime(
        model_spec(MODEL, 1, (16, 10)),
        layout,
        torch.device("cpu"),
        micro_batches=1,
        eight_bits=eight_bits,
        **options,  # type: ignore[arg-type]
    )
    batch = random_batch(MODEL, 4, 1, 16)
    runtime.forward_backward(batch, counts(MODEL, batch))
    return {
        name: p.grad.full_tensor().double() for name, p in runtime.named_parameters() if p.grad is not None
    }


def _likeness(layout: Layout, scaling: str) -> tuple[float, bool]:
    """The least cosine between gradients in eight bits and in float64; whether eight bits were used at all."""
    exact, found, half = (_gradients(layout, kind) for kind in (None, scaling, None))
    cosines = [torch.cosine_similarity(found[n].flatten(), exact[n].flatten(), dim=0).item() for n in exact]
    name = "encoder.layers.0.ffn.wo.weight"
    return min(cosines), bool((found[name] - half[name]).norm() > 1e-2 * half[name].norm())


@scalings
def test_a_model_learns_in_eight_bits_alone_and_split(scaling: Scaling) -> None:
    for layout in (Layout(), Layout(tp=2)):
        for cosine, used in run_ranks(_likeness, layout.world, layout, scaling):
            assert cosine > 0.97
            assert used


def test_widths_that_do_not_fit_are_said_before_ranks_start() -> None:
    from taixue.pretrain.config.schema import RunConfig
    from taixue.pretrain.config.validate import validate

    run = RunConfig.model_validate({"model": {"family": "t5", "d_ff": 1000}, "compute": {"fp8": "row"}})
    with pytest.raises(UserError, match=r"compute\.fp8: model\.d_ff: 1000 .* no multiple of 16"):
        validate(run, 1, None)
