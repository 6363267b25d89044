"""Batches as tensors, and how many predictions they ask for: what the losses are divided by."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from taixue.kernels.loss import IGNORE

from ..config.schema import ObjectiveConfig
from ..data.feature_dropout import FEATURES

LABELS = {
    "span": "labels",
    "mlm": "labels",
    "sop": "sop_labels",
    "pos": "pos_labels",
    "ne": "ne_labels",
    "relation": "relation_labels",
    "answer": "answer_labels",
}
"""Name of a loss -> its labels in the batch. Batches without them make no such predictions."""


def as_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """A batch of the data as CPU tensors that share its memory."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def without_features(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch as a user of the exported model would make it."""
    return {name: torch.zeros_like(x) if name in FEATURES else x for name, x in batch.items()}


def loss_weights(objective: ObjectiveConfig, loss_names: tuple[str, ...]) -> dict[str, float]:
    """What the mean of each loss is multiplied by."""
    weights = objective.loss_weights.model_dump() if objective.kind == "mlm" else {}
    return {name: weights.get(name, 1.0) for name in loss_names}


def predictions(batch: Mapping[str, Tensor], loss_names: tuple[str, ...]) -> Tensor:
    """Labels that are not ignored, by loss: (n_losses,) int64. The batch is on the CPU."""
    counts = [
        int((batch[LABELS[name]] != IGNORE).sum()) if LABELS[name] in batch else 0 for name in loss_names
    ]
    return torch.tensor(counts)
