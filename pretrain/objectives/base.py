"""What an objective is: a pure function from token windows and keys to arrays of fixed shape. It knows no
model.
"""

from typing import Protocol

import numpy as np

IGNORED = -100


class Objective(Protocol):
    """Windows of tokens to what a model is fed.

    raw_length: tokens in a window. loss_names: the losses the model returns for it, in order. shapes: of one
    sample's arrays, by name, without the batch dimension; all arrays are int64.
    """

    @property
    def raw_length(self) -> int: ...

    @property
    def loss_names(self) -> tuple[str, ...]: ...

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]: ...

    def __call__(self, tokens: np.ndarray, keys: np.ndarray) -> dict[str, np.ndarray]:
        """tokens int32 (B, raw_length), keys uint64 (B,) -> arrays (B, *shape). Row b depends on row b alone."""
        ...
