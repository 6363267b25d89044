"""What an objective is: a pure function from token windows and keys to arrays of fixed shape. It knows no model."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

IGNORED = -100


class Objective(Protocol):
    """Windows of tokens to what a model is fed.

    raw_length: tokens in a window. loss_names: the losses the model returns for it, in order. shapes: of one
    sample's arrays, by name, without the batch dimension; all arrays are int64. needs_annotation: it is told the
    sidecars' schema by `annotated` before its first call, and every call gives it rows.
    """

    @property
    def raw_length(self) -> int: ...

    @property
    def loss_names(self) -> tuple[str, ...]: ...

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]: ...

    @property
    def needs_annotation(self) -> bool: ...

    def annotated(self, schema: Mapping[str, Any]) -> None:
        """Learn what the rows mean (annotate/sidecar.py). UserError when they lack what the configuration needs."""
        ...

    def __call__(
        self, tokens: np.ndarray, keys: np.ndarray, rows: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """tokens int32 (B, raw_length), keys uint64 (B,), rows structured (B, raw_length) -> arrays (B, *shape). Row b
        depends on row b alone."""
        ...
