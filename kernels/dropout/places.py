"""Where models drop out: modules without parameters that know their address but for what only ranks know."""

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import dropout
from .draws import AGAIN, Draws, site

Dimension = Literal["rows", "columns", "heads"]


class Dropout(nn.Module):
    """One place of a model that drops out, in training. p: probability; 0 draws nothing.

    Tensor parallelism says with `cut` which dimension of the input is split and which part this one sees. Whoever runs
    the steps gives the stream, see `Streams`; without one, or without samples, torch's generator decides.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.stream: Tensor | None = None
        self._dimension: Dimension | None = None
        self._part = 0

    def cut(self, dimension: Dimension, part: int) -> None:
        """Inputs are part number `part` of equal parts along `dimension`."""
        self._dimension, self._part = dimension, part

    def draws(self, samples: Tensor | None, length: int) -> Draws | float | None:
        """What the ops of this package take. samples (B,) int64: see Draws. length: of the input, along what is cut."""
        if not self.training or self.p == 0.0:
            return None
        if self.stream is None or samples is None:
            return self.p
        first = self._part * length
        return Draws(
            self.p,
            self.stream,
            samples,
            first_row=first if self._dimension == "rows" else 0,
            first_column=first if self._dimension == "columns" else 0,
            first_head=first if self._dimension == "heads" else 0,
        )

    def forward(self, x: Tensor, samples: Tensor | None) -> Tensor:
        """x (B, S, D), samples (B,) -> (B, S, D)."""
        draws = self.draws(samples, x.shape[2] if self._dimension == "columns" else x.shape[1])
        return F.dropout(x, draws) if isinstance(draws, float) else dropout(x, draws)


def again(samples: Tensor | None, times: int) -> Tensor | None:
    """The samples of a layer whose parameters were applied `times` times before: it draws other numbers each time."""
    return samples if samples is None or times == 0 else samples + times * AGAIN


class Streams:
    """The streams of all the places of a model, or of a slice of it, in one tensor that a step rewrites."""

    def __init__(self, module: nn.Module) -> None:
        """Take the places' names in `module`: before anything is wrapped around its parts."""
        self._places = {path: place for path, place in _places(module) if place.p > 0}
        self._numbers: Tensor | None = None

    def open(self, device: torch.device) -> None:
        """Give every place its stream, on `device`."""
        sites = [[0, 0, site(path)] for path in self._places]
        self._numbers = torch.tensor(sites, dtype=torch.int64, device=device).view(-1, 3)
        for place, stream in zip(self._places.values(), self._numbers.unbind(), strict=True):
            place.stream = stream

    def __bool__(self) -> bool:
        return bool(self._places)

    @torch.no_grad()
    def seed(self, seed: int, step: int) -> None:
        """Decide all draws until the next call. Seeds of more than 32 bits are folded."""
        if self._numbers is not None:
            self._numbers[:, 0] = (seed ^ seed >> 32) & 0xFFFFFFFF
            self._numbers[:, 1] = step


def _places(module: nn.Module) -> Iterator[tuple[str, Dropout]]:
    return ((path, child) for path, child in module.named_modules() if isinstance(child, Dropout))
