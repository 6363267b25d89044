"""Optimizer steps: the kernels beside float64, the CUDA source through its compiler and, on a GPU, as a sum."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from taixue.kernels import apex, dispatch
from taixue.kernels.optim import (
    adamw_step,
    cuda,
    factored_square_sum,
    factored_step_,
    square_sums,
    squared_sums,
)

from .machine import DEVICE, KERNELS, ON_GPU

SHAPES = ((33, 17), (9,), (1,), (100, 200), (5000,), (0, 4))
LARGE = ((1024, 2816), (32128, 1024), (1024,)) if ON_GPU else ((96, 64), (8192,))
OPTIONS: dict[str, Any] = {"lr": 0.01, "betas": (0.9, 0.98), "eps": 1e-8, "weight_decay": 0.1, "step": 3}


def lists(shapes: tuple[tuple[int, ...], ...] = SHAPES) -> list[list[Tensor]]:
    """Parameters, gradients, first and second moments."""
    generator = torch.Generator().manual_seed(1)
    four = [[torch.randn(shape, generator=generator).to(DEVICE) for shape in shapes] for _ in range(4)]
    return [*four[:3], [tensor.abs() for tensor in four[3]]]


def difference(a: Tensor, b: Tensor) -> float:
    return ((a.double() - b).norm() / max(b.norm().item(), 1e-300)).item()


def adamw(mode: str, dtype: torch.dtype, relative: bool, scaled: bool, shapes: Any = SHAPES) -> list[Tensor]:
    four = [[tensor.to(dtype) for tensor in tensors] for tensors in lists(shapes)]
    sizes = torch.linspace(0.5, 2, len(shapes), dtype=dtype, device=DEVICE) if relative else None
    with dispatch.using(mode):
        scale = torch.tensor(0.25, dtype=torch.float64, device=DEVICE) if scaled else None
        adamw_step(*four, **OPTIONS, scale=scale, sizes=sizes)
    return [tensor for index in (0, 2, 3) for tensor in four[index]]


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("shapes", [SHAPES, ((32, 16), (64,)), LARGE], ids=["ragged", "aligned", "large"])
def test_adamw_equals_float64(relative: bool, scaled: bool, shapes: Any) -> None:
    pytest.importorskip("triton")
    expected = adamw("reference", torch.float64, relative, scaled, shapes)
    for mode in (KERNELS, "reference"):
        got = adamw(mode, torch.float32, relative, scaled, shapes)
        assert max(difference(a, b) for a, b in zip(got, expected, strict=True)) <= 1e-6, mode
        again = adamw(mode, torch.float32, relative, scaled, shapes)
        assert all(torch.equal(a, b) for a, b in zip(got, again, strict=True))


@pytest.mark.parametrize("shape", [(1, 5), (33, 17), (70, 300), *LARGE[:1]])
@pytest.mark.parametrize("scaled", [False, True])
def test_adafactors_passes_equal_float64(shape: tuple[int, int], scaled: bool) -> None:
    pytest.importorskip("triton")
    generator = torch.Generator().manual_seed(2)
    parameter, gradient = (torch.randn(shape, generator=generator).to(DEVICE) for _ in range(2))
    rows, columns = (torch.rand(size, generator=generator).to(DEVICE) for size in shape)

    def run(mode: str, dtype: torch.dtype) -> list[Tensor]:
        p, g, r, c = (tensor.to(dtype) for tensor in (parameter.clone(), gradient, rows, columns))
        scale = torch.tensor(0.3, dtype=torch.float64, device=DEVICE) if scaled else None
        decay, rate = torch.tensor(0.01, device=DEVICE), torch.tensor(0.1, dtype=torch.float64, device=DEVICE)
        with dispatch.using(mode):
            sums = [*squared_sums(g, scale), factored_square_sum(g, scale, r, c)]
            factored_step_(p, g, scale, r, c, decay, rate)
        return [*sums, p]

    expected = run("reference", torch.float64)
    for mode in (KERNELS, "reference"):
        got = run(mode, torch.float32)
        assert max(difference(a, b) for a, b in zip(got, expected, strict=True)) <= 1e-6, mode


@pytest.mark.parametrize("shapes", [SHAPES, LARGE], ids=["ragged", "large"])
def test_square_sums(shapes: Any) -> None:
    """By CUDA C++ on a GPU: exact squares in double precision, of tensors at any multiple of 4 bytes."""
    tensors = [*lists(shapes)[0], torch.ones(70, device=DEVICE)[1:]]
    expected = torch.stack([tensor.double().square().sum() for tensor in tensors])
    assert not ON_GPU or cuda.obstacle(tensors) in ("", "nvcc is missing")
    exact = ON_GPU and not cuda.obstacle(tensors)
    found = square_sums(tensors)
    torch.testing.assert_close(found, expected, rtol=1e-12 if exact else 1e-6, atol=0)
    assert torch.equal(square_sums(tensors), found)


def test_bad_input_is_refused() -> None:
    parameters, gradients, means, squares = lists()
    with pytest.raises(ValueError, match=r"lists of \[6, 5, 6, 6\] tensors"):
        adamw_step(parameters, gradients[:5], means, squares, **OPTIONS)
    with pytest.raises(ValueError, match=rf"\(33, 16\) torch.float32 on {DEVICE} beside \(33, 17\)"):
        adamw_step(parameters, [gradients[0][:, :16], *gradients[1:]], means, squares, **OPTIONS)
    with pytest.raises(ValueError, match=rf"torch\.float32 on {DEVICE} beside \(33, 17\) torch\.float64"):
        adamw_step([p.double() for p in parameters], gradients, means, squares, **OPTIONS)
    with pytest.raises(ValueError, match=r"lists of \[0\] tensors"):
        square_sums([])
    with pytest.raises(ValueError, match=r"factors \(2,\) and \(3,\) of \(3, 2\)"):
        factored_square_sum(torch.ones(3, 2), None, torch.ones(2), torch.ones(3))


def test_what_is_not_contiguous_takes_the_reference() -> None:
    pytest.importorskip("triton")
    strided = [torch.randn(4, 6).to(DEVICE).t() for _ in range(3)]
    dense = [tensor.contiguous() for tensor in strided]
    for tensors in (strided, dense):
        with dispatch.using(KERNELS):
            adamw_step(*([tensor] for tensor in tensors), [torch.ones(6, 4, device=DEVICE)], **OPTIONS)
    torch.testing.assert_close(strided, dense)


@pytest.mark.parametrize("target", ["sm_80", "sm_90"])
def test_the_cuda_source_compiles_without_spills(target: str, tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc")
    report = cuda.build(tmp_path / "library.so", target)
    assert report.count("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["library.so"]


def test_without_nvcc_the_reason_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cuda._loaded.cache_clear()
    assert cuda._loaded("sm_90") == (None, "nvcc is missing")
    cuda._loaded.cache_clear()


def test_no_apex_here_and_none_needed() -> None:
    total, left, right = torch.zeros(3, 2), torch.randn(5, 3), torch.randn(5, 2)
    apex.accumulate_product(total, left, right)
    torch.testing.assert_close(total, left.t() @ right)
    if not apex.found():
        assert not apex.adamw_takes([torch.ones(2)])
