"""The path that kernels are tested on, and memory that shows what they leave unwritten."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from taixue.kernels import dispatch

from .machine import BACKEND, KERNELS

Way = Callable[[Callable[..., Any]], Callable[..., Any]]


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    """Every empty tensor is filled with NaN, or the largest integer: outputs that no kernel writes do not pass."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
        yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def kernels() -> Iterator[None]:
    """Ops take their kernels, on machine.DEVICE."""
    pytest.importorskip("triton")
    with dispatch.using(KERNELS):
        yield


@pytest.fixture(scope="session", params=["called", "compiled"])
def way(request: pytest.FixtureRequest) -> Way:
    """How a function of our ops is run: as it is, or by torch.compile in one graph without a break."""

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        torch._dynamo.reset()
        return torch.compile(function, backend=BACKEND, fullgraph=True)

    return compiled if request.param == "compiled" else lambda function: function
