"""The operator inside autograd, torch.compile and activation checkpointing."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from taixue.kernels import dispatch
from taixue.kernels.attention import AttentionBias, attention, attention_bias
from taixue.parallel.blocks import checkpoint_activations

from ..machine import DEVICE, KERNELS
from .calls import draws

pytest.importorskip("triton")


def some(length: int = 12, **options: Tensor | bool) -> tuple[list[Tensor], AttentionBias]:
    """Query, key, value, table with gradients, and a bias with a mask."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator).to(DEVICE).requires_grad_()  # noqa: E731
    leaves = [draw(2, 2, length, 8) for _ in range(3)] + [draw(8, 2)]
    mask = torch.arange(length, device=DEVICE)[None] < torch.tensor([[length], [length - 3]], device=DEVICE)
    bias = attention_bias(
        length,
        length,
        table=leaves[3],
        max_distance=8,
        key_mask=mask,
        dtype=torch.float32,
        device=DEVICE,
        **options,
    )  # type: ignore[arg-type]
    assert bias is not None
    return leaves, bias


def test_operator_is_what_it_says_it_is() -> None:
    """Schema, shapes and strides of fake tensors, autograd registration."""
    with dispatch.using(KERNELS):
        (query, key, value, _), bias = some()
        line = bias.line.detach().requires_grad_()  # type: ignore[union-attr]
        groups = torch.arange(12, device=DEVICE).expand(2, 1, 12) // 3
        weights = torch.ones(1, 2, device=DEVICE, requires_grad=True)
        numbers = draws(0.1, 2)
        arguments = (query, key, value, line, bias.key_mask, None, None, bias.key_range, bias.query_range)
        rest = (groups, weights, numbers.stream, numbers.samples, 0.5, 0.1, 8, 2, False, bias.radius)
        torch.library.opcheck(torch.ops.taixue.attention.default, (*arguments, *rest))


class Layer(nn.Module):
    """A projection and an attention, as a block of a model has them."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Linear(16, 48)
        self.dropout = draws(0.2, 2)

    def forward(self, x: Tensor, bias: AttentionBias | None) -> Tensor:
        query, key, value = self.projection(x).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        return x + attention(query, key, value, bias, scale=1.0, dropout=self.dropout).transpose(
            1, 2
        ).flatten(2)


def gradients(apply: Callable[[Layer], Callable[..., Tensor]]) -> list[Tensor]:
    """Output, and gradients of the layer's weights, its input and the table, after two layers that share a bias."""
    torch.manual_seed(0)
    layer = Layer().to(DEVICE)
    x = torch.randn(2, 12, 16, generator=torch.Generator().manual_seed(1)).to(DEVICE).requires_grad_()
    leaves, bias = some()
    forward = apply(layer)
    out = forward(forward(x, bias), bias)
    out.square().sum().backward()
    found = [out, x.grad, leaves[3].grad, *(parameter.grad for parameter in layer.parameters())]
    assert all(value is not None for value in found)
    return [value.detach() for value in found if value is not None]


def test_compiled_without_a_break_and_once() -> None:
    with dispatch.using(KERNELS):
        expected = gradients(lambda layer: layer)
        torch._dynamo.reset()
        compiled: list[int] = []

        def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Tensor]:
            from torch._dynamo.backends.debugging import aot_eager

            compiled.append(len(graph.graph.nodes))
            return aot_eager(graph, inputs)

        for _ in range(2):  # another bias, the same program
            found = gradients(lambda layer: torch.compile(layer, backend=backend, fullgraph=True))
            for value, reference in zip(found, expected, strict=True):
                torch.testing.assert_close(value, reference)
    assert len(compiled) == 1 or len(set(compiled)) == 1
    torch._dynamo.reset()


@pytest.mark.parametrize("mode", ["full", "selective"])
def test_checkpointed_layers_that_share_a_bias(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def apply(layer: Layer) -> Layer:
        checkpoint_activations(layer, mode)
        return layer

    for kernels in (KERNELS, "reference"):
        with dispatch.using(kernels):
            expected = gradients(lambda layer: layer)
            for value, reference in zip(gradients(apply), expected, strict=True):
                assert torch.equal(value, reference)


@pytest.mark.parametrize(("mode", "calls"), [("full", 2), ("selective", 1)])
def test_selective_checkpointing_keeps_the_output(
    mode: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from taixue.kernels.attention.triton import launch

    forward, count = launch.forward, []
    monkeypatch.setattr(launch, "forward", lambda arguments: (count.append(1), forward(arguments))[1])
    with dispatch.using(KERNELS):
        layer = Layer().to(DEVICE)
        checkpoint_activations(layer, mode)
        _, bias = some()
        layer(torch.ones(2, 12, 16, device=DEVICE, requires_grad=True), bias).sum().backward()
    assert len(count) == calls


def test_a_recomputed_dropout_mask_is_the_same() -> None:
    with dispatch.using(KERNELS):
        leaves, bias = some()

        def weigh(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return attention(query, key, value, bias, scale=1.0, dropout=draws(0.5, 2))

        found = []
        for run in (weigh, lambda *inputs: checkpoint(weigh, *inputs, use_reentrant=False)):
            out = run(*leaves[:3])
            found.append([out, *torch.autograd.grad(out.sum(), leaves, retain_graph=True)])
    for plain, recomputed in zip(*found, strict=True):
        assert torch.equal(plain, recomputed)


def test_a_bias_made_for_the_reference_is_used_by_it() -> None:
    (query, key, value, _), bias = some()
    assert bias.dense is not None or DEVICE.type == "cuda"
    with dispatch.using("reference"):
        expected = attention(query, key, value, bias, scale=1.0)
    with dispatch.using(KERNELS):
        (*_, _), kernel_bias = some()
        assert kernel_bias.dense is None
        assert torch.allclose(attention(query, key, value, kernel_bias, scale=1.0), expected, atol=1e-5)
    with dispatch.using("reference"):  # made for the kernels, used by the reference
        assert torch.allclose(attention(query, key, value, kernel_bias, scale=1.0), expected, atol=1e-5)


def test_a_large_head_dim_is_left_to_the_reference() -> None:
    x = torch.randn(1, 1, 4, 160, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    with dispatch.using("reference"):
        expected = attention(x, x, x, None, scale=0.1)
    with dispatch.using(KERNELS):
        assert torch.equal(attention(x, x, x, None, scale=0.1), expected)
