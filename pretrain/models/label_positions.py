"""Where the labels of a batch are, so that an LM head works on these positions only (BERT's masked_lm_positions).

Exact: other positions have no loss, hence no gradient. Shapes are fixed, (B, P) for every batch of a run, and positions
are found on the CPU, before a batch is sent to its device.

Letters: B batch, S sequence length, P most labels of a sample, D width.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from taixue.kernels.loss import IGNORE, Targets


def with_label_positions(batch: Mapping[str, Tensor], most: int) -> dict[str, Tensor]:
    """The batch with `label_positions` (B, most) int64 of its labels (B, S), ascending in each row, -1 behind them.

    As it is where that saves nothing: without labels; where `most` is 0, for no bound, or S and more; and beside a
    teacher, who may speak of any position. ValueError for a sample of more labels. The batch is on the CPU.
    """
    labels = batch.get("labels")
    if labels is None or not 0 < most < labels.shape[1] or "teacher_ids" in batch:
        return dict(batch)
    wanted = labels.numpy() != IGNORE  # half of torch's time for the same
    counts = np.count_nonzero(wanted, axis=1)
    if counts.max() > most:
        raise ValueError(f"a sample with {counts.max()} labels, though its objective makes at most {most}")
    positions = np.full((len(wanted), most), -1)
    positions[np.arange(most) < counts[:, None]] = np.flatnonzero(wanted) % wanted.shape[1]  # both row by row
    return {**batch, "label_positions": torch.from_numpy(positions)}


def labels_at(labels: Tensor, positions: Tensor) -> Targets:
    """Of labels (B, S) those at positions (B, P), IGNORE where these are -1."""
    return Targets(labels.gather(1, positions.clamp(min=0)).masked_fill(positions < 0, IGNORE))


class StatesAt(nn.Module):
    """States (B, S, D) at positions (B, P) -> (B, P, D), anything where these are -1; all of them for None."""

    def forward(self, x: Tensor, positions: Tensor | None) -> Tensor:
        if positions is None:
            return x
        first = torch.arange(0, x.shape[0] * x.shape[1], x.shape[1], device=x.device)
        index = (positions.clamp(min=0) + first[:, None]).flatten()
        return x.flatten(0, 1).index_select(0, index).unflatten(0, positions.shape)
