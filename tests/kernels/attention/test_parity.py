"""The kernels against the float64 reference: outputs and every gradient; interpreted where there is no GPU."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue.kernels import dispatch
from taixue.kernels.attention import attention

from ..machine import DEVICE, KERNELS, ON_GPU
from . import plain
from .calls import Call, draws, run, worst

pytest.importorskip("triton")

from taixue.kernels.attention.triton import launch, tiles

TOLERANCE = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 2e-2}


def compare(call: Call, dtype: torch.dtype = torch.float32) -> None:
    error = worst(run(call, KERNELS, dtype), run(call, "reference", torch.float64))
    assert error <= TOLERANCE[dtype], (call, error)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    queries = draw(st.integers(1, 70))
    keys = queries if draw(st.booleans()) else draw(st.integers(1, 70))
    return Call(
        batch=draw(st.integers(1, 2)),
        heads=draw(st.integers(1, 2)),
        queries=queries,
        keys=keys,
        head_dim=draw(st.sampled_from((4, 8, 16, 24, 32))),
        table=draw(st.booleans()),
        causal=draw(st.booleans()),
        mask=draw(st.booleans()),
        segments=draw(st.booleans()),
        kinds=draw(st.integers(0, 2)) if queries == keys else 0,
    )


@settings(max_examples=300 if ON_GPU else 8)
@given(calls())
def test_any_call(call: Call) -> None:
    compare(call)


SATURATED = Call(batch=1, heads=1, queries=150, keys=130, max_distance=9)
"""Tiles of one bias on both sides of those with several."""


@pytest.mark.parametrize(
    "call",
    [
        SATURATED,
        replace(SATURATED, causal=True, keys=150),
        Call(queries=1, keys=1),
        Call(queries=1, keys=40, causal=True),
        Call(batch=1, heads=1, queries=33, keys=33, head_dim=128),
        Call(batch=1, heads=1, queries=65, keys=65, head_dim=64, kinds=3, mask=True, segments=True),
    ],
    ids=str,
)
def test_corners(call: Call) -> None:
    compare(call)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("causal", [False, True])
def test_half_precision(dtype: torch.dtype, causal: bool) -> None:
    compare(Call(batch=1, queries=70, keys=70, head_dim=32, causal=causal), dtype)


@pytest.mark.parametrize("capability", [(9, 0), (8, 0)])
@pytest.mark.parametrize("causal", [False, True])
def test_tiles_of_large_gpus(
    capability: tuple[int, int], causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles that are not square and reach beyond the ends; on a GPU every test has its own."""
    chosen = tiles.choose(64, 2, 512, capability)
    monkeypatch.setattr(launch, "choose", lambda *arguments: chosen)
    compare(Call(batch=1, heads=1, queries=201, keys=201, head_dim=8, causal=causal, mask=True))


def test_documents_that_cannot_meet_are_not_read() -> None:
    """What lies in blocks that no query of a block may see can be anything, even NaN, without a trace."""
    call = Call(batch=1, heads=1, queries=192, keys=192, segments=True)
    inputs = call.inputs()
    segments = torch.arange(192)[None] // 64
    inputs |= {"query_segments": segments, "key_segments": segments}
    clean = run(call, KERNELS, torch.float32, inputs=inputs)
    inputs["key"][:, :, 128:], inputs["value"][:, :, 128:] = float("nan"), float("nan")
    broken = run(call, KERNELS, torch.float32, inputs=inputs)
    assert torch.equal(clean["out"][:, :, :128], broken["out"][:, :, :128])
    assert torch.equal(clean["query"][:, :, :128], broken["query"][:, :, :128])
    assert torch.equal(clean["key"][:, :, :128], broken["key"][:, :, :128])


def test_documents_in_pieces_are_still_right() -> None:
    call = Call(queries=70, keys=70, segments=True)
    inputs = call.inputs()
    shuffled = torch.randint(0, 3, (2, 70), generator=torch.Generator().manual_seed(1))
    inputs |= {"query_segments": shuffled, "key_segments": shuffled}
    found, expected = (
        run(call, mode, dtype, inputs=inputs)
        for mode, dtype in ((KERNELS, torch.float32), ("reference", torch.float64))
    )
    assert worst(found, expected) <= TOLERANCE[torch.float32]


@pytest.mark.parametrize("mode", ["reference", KERNELS])
def test_a_query_that_sees_no_key_gives_zeros(mode: str) -> None:
    call = Call(mask=True, causal=True)
    inputs = call.inputs()
    inputs["key_mask"][0] = False
    inputs["key_mask"][1, :5] = False
    found = run(call, mode, torch.float32, inputs=inputs)
    for name in ("out", "query"):
        assert not found[name][0].any()
        assert not found[name][1, :, :5].any()
    assert found["out"][1, :, 5:].all()
    assert not found["value"][0].any()


@pytest.mark.parametrize("mode", ["reference", KERNELS])
def test_dropout_is_philox_of_the_address(mode: str) -> None:
    call = Call(queries=40, keys=33, table=False)
    numbers = draws(0.3, 2, first_row=100, first_head=3)
    inputs = call.inputs()
    found = run(call, mode, torch.float32, dropout=numbers, inputs=inputs)
    keep = plain.dropout_mask(numbers, 2, 40, 33)
    assert abs(keep.double().mean() - 0.7) < 0.02
    leaves = [inputs[name].clone().requires_grad_() for name in ("query", "key", "value")]
    out = plain.attention(*leaves, keep, 0.25, 0.3)
    out.backward(inputs["grad"])
    expected = {
        "out": out.detach(),
        **{n: x.grad for n, x in zip(("query", "key", "value"), leaves, strict=True)},
    }
    assert worst(found, expected) <= TOLERANCE[torch.float32]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "dtype"),
    [
        (replace(SATURATED, queries=70, keys=65, max_distance=5), torch.float32),
        (replace(SATURATED, queries=70, keys=70, causal=True, max_distance=5), torch.bfloat16),
        (Call(queries=40, keys=40, head_dim=8, mask=True, segments=True, kinds=2), torch.float32),
        (Call(queries=37, keys=5, mask=True, table=False), torch.bfloat16),
    ],
    ids=str,
)
def test_dropout_is_the_references(call: Call, dtype: torch.dtype) -> None:
    """With every option: all gradients."""
    numbers = draws(0.25, call.batch, first_row=7, first_head=1)
    found = run(call, KERNELS, dtype, dropout=numbers)
    assert worst(found, run(call, "reference", torch.float64, dropout=numbers)) <= TOLERANCE[dtype]


@pytest.mark.parametrize("mode", ["reference", KERNELS])
def test_shards_of_heads_and_samples_drop_their_part_of_the_whole(mode: str) -> None:
    call = Call(batch=3, heads=4, queries=20, keys=24, table=False)
    inputs = call.inputs()
    whole = run(call, mode, torch.float32, dropout=draws(0.5, 3), inputs=inputs)
    for b, h in ((0, 0), (1, 2), (2, 3)):
        part = {name: value[b : b + 1, h : h + 1] for name, value in inputs.items()}
        numbers = draws(0.5, 3, first_head=h)
        numbers = replace(numbers, samples=numbers.samples[b : b + 1])
        found = run(replace(call, batch=1, heads=1), mode, torch.float32, dropout=numbers, inputs=part)
        for name, value in found.items():
            torch.testing.assert_close(value, whole[name][b : b + 1, h : h + 1])


def test_every_run_gives_the_same_bits() -> None:
    call = Call(queries=70, keys=70, mask=True, segments=True, kinds=2)
    first, second = (run(call, KERNELS, torch.float32) for _ in range(2))
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_inputs_in_any_layout() -> None:
    """Heads side by side in one projection, rows with gaps, columns that are not contiguous."""
    x = torch.randn(2, 20, 3, 2, 8, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    packed = x.permute(2, 0, 3, 1, 4)
    strided = (
        torch.randn(3, 2, 2, 8, 20, generator=torch.Generator().manual_seed(0)).to(DEVICE).transpose(-1, -2)
    )
    for query, key, value in (packed, strided):
        with dispatch.using(KERNELS):
            found = attention(query, key, value, None, scale=1.0)
            copies = attention(query.contiguous(), key.contiguous(), value.contiguous(), None, scale=1.0)
        assert torch.equal(found, copies)
        assert found.transpose(1, 2).is_contiguous()
