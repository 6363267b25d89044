"""Loss on held-out windows, by source: the same windows, masks and numbers whatever the layout."""

import numpy as np
import torch
from torch import Tensor

from taixue.kernels.loss import IGNORE
from taixue.parallel.stop import StopRequest

from ..data import Data, HeldOut
from ..data.feature_dropout import FEATURES
from ..observe.names import WITHOUT_TAGS
from .agreement import summed
from .predictions import as_batch, predictions, without_features
from .state import TrainState


def evaluate(state: TrainState, data: Data, stop: StopRequest) -> dict[str, float] | None:
    """{"eval/<source>/<objective>": nats per prediction} over the held-out samples of each source.

    With linguistic inputs also "eval/<source>/<objective>-without-tags", the same samples without them.
    None when asked to stop on the way. Collective: every rank calls it; the losses are the same on all.
    """
    results: dict[str, float] = {}
    for source, held_out in data.validation().items():
        losses = _source_losses(state, held_out, stop)
        if losses is None:
            return None
        results |= {f"eval/{source}/{name}": loss for name, loss in losses.items()}
    return results


def _source_losses(state: TrainState, held_out: HeldOut, stop: StopRequest) -> dict[str, float] | None:
    engine, names = state.engine, state.engine.loss_names
    share = state.run.batch.micro_size * engine.depth
    sums, plain_sums, counts = [], [], torch.zeros(len(names), dtype=torch.int64)
    for begin in range(0, len(held_out), share * engine.data_ranks):
        if stop.agreed():
            return None
        first = begin + share * engine.data_rank
        batch = _padded(state, held_out, np.arange(first, first + share))
        sums.append(engine.evaluate(batch))
        counts += predictions(batch, state.losses)
        if not batch.keys().isdisjoint(FEATURES):
            plain_sums.append(engine.evaluate(without_features(batch)))
    total = summed(engine, counts)
    found = {name: mean for name, mean, n in zip(names, _means(sums, total), total, strict=True) if n}
    return found | ({f"{names[0]}{WITHOUT_TAGS}": _means(plain_sums, total)[0]} if plain_sums else {})


def _means(sums: list[Tensor], counts: Tensor) -> list[float]:
    """Loss sums (n_losses,) of several batches, divided by all their predictions."""
    return (sum(sums[1:], sums[0]).cpu() / counts.clamp(min=1)).tolist()


def _padded(state: TrainState, held_out: HeldOut, numbers: np.ndarray) -> dict[str, Tensor]:
    """The batch of samples `numbers`; those past the last one repeat it and are not counted: shapes never change."""
    batch = as_batch(state.run, held_out[np.minimum(numbers, len(held_out) - 1)])
    surplus = torch.from_numpy(numbers >= len(held_out))
    for name in set(state.losses.values()) & batch.keys():
        batch[name][surplus] = IGNORE
    return batch
