"""Linguistic inputs between the sidecar and the model: do the tables have rows enough, and which samples do without."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from taixue.base import UserError, rng

from ..models.family import Table

_STREAM = 12  # of a sample's key
FEATURES = ("pos_ids", "role_ids", "word_groups", "clause_groups")
"""Linguistic inputs in a batch; zeros say that there are none."""


class FeatureDropout:
    """Zeroes every linguistic input of a share of the samples, so that the model also learns to do without.

    Which samples follows from their keys: the same in any batch, layout or resumed run.
    """

    def __init__(self, share: float) -> None:
        self._below = round(share * 2**32)

    def __call__(self, batch: dict[str, np.ndarray], keys: np.ndarray) -> dict[str, np.ndarray]:
        """batch (B, ...), keys uint64 (B,) -> the batch, in whose arrays the zeros are written."""
        without = rng.high(rng.draw(keys, _STREAM, 1)[:, 0]) < self._below
        for name in FEATURES:
            if name in batch:
                batch[name][without] = 0
        return batch


def check_tables(tables: Mapping[str, Table], schema: Mapping[str, Any]) -> None:
    """UserError when a table or head of the model (Family.tables) is too small for the names in the sidecars."""
    for key, (names, words, rows) in tables.items():
        count = len(schema.get(names, [""]))
        if rows and count < 2:
            raise UserError(
                f"model.{key}: {rows}, but the corpus's annotation has no {words}; set it to 0, or build the corpus "
                "with them (its `annotate:` section)"
            )
        if 0 < rows < count:
            raise UserError(
                f"model.{key}: {rows} rows are too few for the {count} {words} of the corpus's annotation (none is one "
                f"of them); set it to at least {count}"
            )
