"""What a training loop sees of data, whatever it is made of."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

Arrays = dict[str, np.ndarray]
"""A batch: what the model is given, by name, the samples (B) first."""


class HeldOut(Protocol):
    """Samples that are not trained on: 0, 1, ... len - 1, the same for every run."""

    @property
    def weight(self) -> float:
        """Their source's part of what is trained on, relative to the others: what its loss counts in the mean."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, numbers: range | np.ndarray) -> Arrays:
        """The batch of these samples (B,)."""
        ...


class Data(Protocol):
    """Samples by number, without end: sample k is the same at any time, on any rank. Threads may call the methods."""

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides what sample k is. A resumed run must find the same."""
        ...

    def batch(self, samples: range | np.ndarray) -> Arrays:
        """The batch of these samples (B,), in their order. Shapes but for B never change."""
        ...

    def validation(self) -> Mapping[str, HeldOut]:
        """What evaluations use, by the name of its source; at least one sample each."""
        ...
