"""Batches as tensors, and how many predictions they ask for: what the losses are divided by."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from taixue.kernels.loss import IGNORE

from ..config.schema import RunConfig
from ..data.feature_dropout import FEATURES
from ..models import FAMILIES
from ..models.family import Lengths
from ..models.label_positions import with_label_positions
from ..objectives import OBJECTIVES, Objective, ObjectiveSection


def as_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """A batch of the data as CPU tensors that share its memory."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def max_predictions(run: RunConfig) -> int:
    """Most labels of a sample, where the model's head is told where they are; 0: it sees all positions."""
    most = OBJECTIVES.of(run.objective).max_predictions(run.objective)
    return most or 0 if FAMILIES.of(run.model).label_positions else 0


def lengths(run: RunConfig, objective: Objective) -> Lengths:
    """Those of a sample."""
    shapes = objective.shapes
    target = shapes.get("decoder_input_ids")
    return shapes["input_ids"][0], target[0] if target else max_predictions(run)


def as_batch(run: RunConfig, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """A batch of the run's data as its engine is given it, on the CPU. ValueError for more labels than are allowed."""
    batch, most = as_tensors(arrays), max_predictions(run)
    return with_label_positions(batch, most) if most else batch


def without_features(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch as a user of the exported model would make it."""
    return {name: torch.zeros_like(x) if name in FEATURES else x for name, x in batch.items()}


def loss_weights(objective: ObjectiveSection, loss_names: tuple[str, ...]) -> dict[str, float]:
    """What the mean of each loss is multiplied by."""
    weights = OBJECTIVES.of(objective).loss_weights(objective)
    return {name: weights.get(name, 1.0) for name in loss_names}


def predictions(batch: Mapping[str, Tensor], losses: Mapping[str, str]) -> Tensor:
    """Labels that are not ignored, by loss: (n_losses,) int64, 0 where the batch has no such labels.

    The batch is on the CPU. losses: see Family.losses.
    """
    return torch.tensor([int((batch[key] != IGNORE).sum()) if key in batch else 0 for key in losses.values()])
