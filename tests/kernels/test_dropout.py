"""Dropout by address: Philox itself, kernels beside the reference, shards beside the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from taixue.kernels import dispatch
from taixue.kernels.dropout import Draws, dropout, reference, site

from .attention.plain import philox
from .machine import BACKEND, DEVICE, KERNELS

pytest.importorskip("triton")

KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
"""(counter, key, words): kat_vectors of Random123 for philox4x32 with 10 rounds."""


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_philox_is_random123s(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]) -> None:
    tensors = [torch.tensor(number) for number in (*counter, *key)]
    found = reference.philox(tuple(tensors[:4]), (tensors[4], tensors[5]))
    assert tuple(int(word) for word in found) == words
    assert tuple(int(word) for word in philox(counter, key)) == words


def some(p: float, batch: int, **first: int) -> Draws:
    samples = torch.arange(batch, device=DEVICE) * 7 + 2**31 - 3
    stream = torch.tensor([12345, 678, site("encoder.layers.3.ffn.hidden")], device=DEVICE)
    return Draws(p, stream, samples, **first)


@settings(max_examples=20)
@given(
    shape=st.sampled_from(((1, 1, 1), (2, 5, 7), (3, 9, 33), (2, 3, 260), (4, 16), (2, 2, 3, 8))),
    p=st.sampled_from((1e-9, 0.1, 0.5, 0.9, 1 - 2**-40)),
    dtype=st.sampled_from((torch.float64, torch.float32, torch.bfloat16)),
    first_row=st.integers(0, 2**20),
    first_column=st.integers(0, 5000),
)
def test_kernel_reference_and_plain_twin_drop_the_same(
    shape: tuple[int, ...], p: float, dtype: torch.dtype, first_row: int, first_column: int
) -> None:
    draws = some(p, shape[0], first_row=first_row, first_column=first_column)
    found = []
    for mode in ("reference", KERNELS):
        x = torch.ones(shape, dtype=dtype, device=DEVICE, requires_grad=True)
        with dispatch.using(mode):
            out = dropout(x, draws)
            out.backward(torch.full_like(out, 2))
        found.append((out.detach(), x.grad))
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)
    out, grad = found[0]
    assert torch.equal(grad, 2 * out)
    rows = int(np.prod(shape[1:-1]))
    column = np.arange(first_column, first_column + shape[-1])
    row = np.arange(first_row, first_row + rows)[:, None]
    seed, step, place = draws.stream.tolist()
    words = philox((column // 4, row, draws.samples.cpu().numpy()[:, None, None], place), (seed, step))
    word = np.choose(column % 4, words).astype(np.int64)
    keep = torch.from_numpy(word >= min(round(p * 2**32), 2**32 - 1)).view(shape)
    assert torch.equal(out.cpu(), keep * torch.tensor(1 / (1 - p), dtype=torch.float64).to(dtype))


@pytest.mark.parametrize("mode", ["reference", KERNELS])
def test_a_shard_drops_its_part_of_the_whole(mode: str) -> None:
    x = torch.randn(6, 10, 24, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    draws = some(0.4, 6)
    with dispatch.using(mode):
        whole = dropout(x, draws)
        parts = [
            [
                [
                    dropout(
                        x[b : b + 2, s : s + 5, d : d + 6],
                        Draws(0.4, draws.stream, draws.samples[b : b + 2], first_row=s, first_column=d),
                    )
                    for d in range(0, 24, 6)
                ]
                for s in (0, 5)
            ]
            for b in (0, 2, 4)
        ]
    joined = torch.cat([torch.cat([torch.cat(row, 2) for row in part], 1) for part in parts], 0)
    assert torch.equal(joined, whole)


def test_every_part_of_the_address_counts_and_masks_are_independent() -> None:
    count = 64 * 1024
    base = Draws(0.25, torch.tensor([1, 2, 3]), torch.arange(1))
    others = [
        Draws(0.25, torch.tensor([1, 2, 3]) + torch.eye(3, dtype=torch.int64)[i], base.samples)
        for i in range(3)
    ]
    others.append(Draws(0.25, base.stream, base.samples + 1))
    others.append(Draws(0.25, base.stream, base.samples, first_row=64))
    others.append(Draws(0.25, base.stream, base.samples, first_column=1024))
    others.append(Draws(0.25, base.stream, base.samples, first_head=1))
    masks = [reference.kept(draws, 64, 1024).flatten().double() for draws in (base, *others)]
    shares = torch.stack(masks).mean(1)
    assert (shares - 0.75).abs().max() < 5 * (0.75 * 0.25 / count) ** 0.5
    correlation = torch.corrcoef(torch.stack(masks)).fill_diagonal_(0)
    assert correlation.abs().max() < 5 / count**0.5


def test_nothing_is_dropped_without_draws_or_at_0() -> None:
    x = torch.randn(2, 3, 4, device=DEVICE)
    assert dropout(x, None) is x
    assert dropout(x, some(0.0, 2)) is x


@pytest.mark.parametrize("mode", ["reference", KERNELS])
def test_compiled_once_for_every_site_and_checkpointed(mode: str) -> None:
    x = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    torch._dynamo.reset()
    compiled: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        compiled.append(1)
        return torch._dynamo.lookup_backend(BACKEND)(graph, inputs)

    def twice(x: Tensor, draws: Draws) -> Tensor:
        return dropout(dropout(x, draws).sin(), draws)

    with dispatch.using(mode):
        fast = torch.compile(twice, backend=backend, fullgraph=True)
        for name in ("a", "b", "c"):
            stream = torch.tensor([1, 2, site(name)], device=DEVICE)
            draws = Draws(0.3, stream, torch.arange(2, device=DEVICE), first_row=4)
            found = []
            for function in (twice, fast, lambda *inputs: checkpoint(twice, *inputs, use_reentrant=False)):
                leaf = x.clone().requires_grad_()
                out = function(leaf, draws)
                out.square().sum().backward()
                found.append((out.detach(), leaf.grad))
            assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))
    assert len(compiled) == 1
    torch._dynamo.reset()


def test_the_op_keeps_torchs_contracts() -> None:
    draws = some(0.3, 2)
    x = torch.randn(2, 5, 12, device=DEVICE, requires_grad=True)
    with dispatch.using(KERNELS):
        dropout(x, draws)  # registers the op
        torch.library.opcheck(torch.ops.taixue.dropout.default, (x, 0.3, draws.stream, draws.samples, 1, 3))


def test_draws_that_do_not_fit_are_refused() -> None:
    x, draws = torch.ones(2, 3, 4, device=DEVICE), some(0.1, 2)
    stream, samples = draws.stream, draws.samples
    for wrong, message in (
        (Draws(1.0, stream, samples), "dropout 1.0: must be at least 0 and below 1"),
        (Draws(0.1, stream[:2], samples), r"stream \(2,\), samples \(2,\): must be \(3,\) and \(2,\)"),
        (Draws(0.1, stream, samples[:1]), r"samples \(1,\): must be .* for x \(2, 3, 4\)"),
        (Draws(0.1, stream, samples.int()), "samples torch.int32: must be int64"),
        (Draws(0.1, stream.to("meta"), samples), "stream on meta"),
        (Draws(0.1, stream, samples, first_row=-1), "self.first_row=-1"),
        (Draws(0.1, stream, samples, first_column=2**24 - 3), "16777217 columns"),
    ):
        with pytest.raises(ValueError, match=message):
            dropout(x, wrong)
