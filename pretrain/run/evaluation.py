"""Loss on held-out windows, by source: the same windows, masks and numbers whatever the layout."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from taixue.kernels.loss import IGNORE
from taixue.parallel.stop import StopRequest

from ..data import Data, HeldOut
from ..data.feature_dropout import FEATURES
from ..observe.names import WITHOUT_TAGS
from .agreement import summed
from .predictions import as_batch, loss_weights, predictions, without_features
from .state import TrainState


class SourceLosses(NamedTuple):
    """What was found on the held-out samples of a source. weight: its part of the mixture, relative to the others.
    losses: by name, (nats per prediction, predictions)."""

    source: str
    weight: float
    samples: int
    losses: dict[str, tuple[float, int]]


def evaluate(state: TrainState, data: Data, stop: StopRequest) -> dict[str, float] | None:
    """Metrics by their names (observe/metrics.py): eval/<source>/<objective>, eval_loss, eval_samples.

    None when asked to stop on the way. Collective: every rank calls it; the numbers are the same on all.
    """
    found = measure(state, data, stop)
    if found is None:
        return None
    named = {f"eval/{one.source}/{name}": loss for one in found for name, (loss, _) in one.losses.items()}
    return named | {"eval_loss": overall(state, found), "eval_samples": sum(one.samples for one in found)}


def overall(state: TrainState, found: Sequence[SourceLosses]) -> float:
    """eval_loss: the sum over the losses by their weights in the objective, each the mean over the sources that have
    it, by their weights in the mixture."""
    total = 0.0
    for name, weight in loss_weights(state.run.objective, state.engine.loss_names).items():
        having = [(one.weight, one.losses[name][0]) for one in found if name in one.losses]
        if having:
            total += weight * sum(share * loss for share, loss in having) / sum(share for share, _ in having)
    return total


def measure(state: TrainState, data: Data, stop: StopRequest) -> list[SourceLosses] | None:
    """The losses of each source that holds samples out, in order.

    With linguistic inputs also "<objective>-without-tags", the same samples without them. None when asked to stop on
    the way. Collective: every rank calls it; the numbers are the same on all.
    """
    results = []
    for source, held_out in data.validation().items():
        losses = _source_losses(state, held_out, stop)
        if losses is None:
            return None
        results.append(SourceLosses(source, held_out.weight, len(held_out), losses))
    return results


def _source_losses(
    state: TrainState, held_out: HeldOut, stop: StopRequest
) -> dict[str, tuple[float, int]] | None:
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
    numbers = total.tolist()
    found = {name: (mean, n) for name, mean, n in zip(names, _means(sums, total), numbers, strict=True) if n}
    if plain_sums:
        found[f"{names[0]}{WITHOUT_TAGS}"] = (_means(plain_sums, total)[0], numbers[0])
    return found


def _means(sums: list[Tensor], counts: Tensor) -> list[float]:
    """Loss sums (n_losses,) of several batches, divided by all their predictions: rank 0's, for what follows from them
    (a save, an end) must follow on every rank. Collective: a broadcast on the CPU."""
    means = sum(sums[1:], sums[0]).cpu() / counts.clamp(min=1)
    dist.broadcast(means, 0)
    return means.tolist()


def _padded(state: TrainState, held_out: HeldOut, numbers: np.ndarray) -> dict[str, Tensor]:
    """The batch of samples `numbers`; those past the last one repeat it and are not counted: shapes never change."""
    batch = as_batch(state.run, held_out[np.minimum(numbers, len(held_out) - 1)])
    surplus = torch.from_numpy(numbers >= len(held_out))
    for name in set(state.losses.values()) & batch.keys():
        batch[name][surplus] = IGNORE
    return batch
