"""Loss on held-out windows, by source: the same windows, masks and numbers whatever the layout."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from taixue.kernels.loss import IGNORE
from taixue.parallel.stop import StopRequest

from ..data import TrainingData
from ..data.feature_dropout import FEATURES
from ..observe.names import WITHOUT_TAGS
from .predictions import as_tensors, predictions, summed_over_data, without_features
from .state import TrainState


def evaluate(state: TrainState, data: TrainingData, stop: StopRequest) -> dict[str, float] | None:
    """{"eval/<source>/<objective>": nats per prediction} over the first eval_windows windows of each source.

    With linguistic inputs also "eval/<source>/<objective>-without-tags", the same windows without them.
    None when asked to stop on the way. Collective: every rank calls it; the losses are the same on all.
    """
    results: dict[str, float] = {}
    for source in data.validation_sources:
        losses = _source_losses(state, data, stop, source, len(data.validation(source)))
        if losses is None:
            return None
        results |= {f"eval/{source}/{name}": loss for name, loss in losses.items()}
    return results


def _source_losses(
    state: TrainState, data: TrainingData, stop: StopRequest, source: str, windows: int
) -> dict[str, float] | None:
    runtime, names = state.runtime, state.runtime.spec.loss_names
    # A pipeline is filled with as many micro-batches as it has ranks.
    micro_batches = runtime.layout.pp
    share = state.run.batch.micro_size * micro_batches
    sums = torch.zeros(len(names), dtype=torch.float64, device=runtime.device)
    plain_sums = torch.zeros_like(sums)
    counts = torch.zeros(len(names), dtype=torch.int64)
    tagged = False
    for begin in range(0, windows, share * runtime.mesh.dp_size):
        if stop.agreed():
            return None
        first = begin + share * runtime.mesh.dp_rank
        batch = _padded(data, source, np.arange(first, first + share), windows, state.losses)
        sums += runtime.evaluate(batch, micro_batches)
        counts += predictions(batch, state.losses)
        if tagged := not batch.keys().isdisjoint(FEATURES):
            plain_sums += runtime.evaluate(without_features(batch), micro_batches)
    total = summed_over_data(counts, runtime)
    means, plain = ((x.cpu() / total.clamp(min=1)).tolist() for x in (sums, plain_sums))
    results = {name: mean for name, mean, count in zip(names, means, total, strict=True) if count}
    return results | ({f"{names[0]}{WITHOUT_TAGS}": plain[0]} if tagged else {})


def _padded(
    data: TrainingData, source: str, indices: np.ndarray, windows: int, losses: Mapping[str, str]
) -> dict[str, Tensor]:
    """Windows `indices`; those past the last one repeat it and are not counted, so that shapes never
    change.
    """
    arrays = data.validation_batch(source, np.minimum(indices, windows - 1))
    batch = as_tensors(arrays)
    surplus = torch.from_numpy(indices >= windows)
    for name in set(losses.values()) & batch.keys():
        batch[name][surplus] = IGNORE
    return batch
