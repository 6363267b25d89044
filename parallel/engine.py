"""What a training loop needs of an engine, the thing that turns batches into weights on however many ranks.

native.py is the one of this project. Another is one class with these methods: the loop, evaluation, checkpoints and
the run's beginning ask for nothing else.

Letters: B samples of this data-parallel rank, L positions, D width, V vocabulary.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor

Batch = Mapping[str, Tensor]
"""The samples of one data-parallel rank, on the CPU; the same on all ranks that share them."""


class Update(NamedTuple):
    """What an update found. means: global mean losses before it, float64 (n_losses,); grad_norm: global, before
    clipping, free of the loss scale, 0-dim float64; both on the engine's device, which may not have computed them yet:
    who reads them waits. loss_scale: that of this step, None without loss scaling. applied: False where loss scaling
    left out a step that overflowed; without it a loss or norm that is not finite spoils the weights. The same on every
    rank, but for own_losses: what this rank adds to the losses' sums (n_losses,), None where an engine does not say."""

    means: Tensor
    grad_norm: Tensor
    loss_scale: float | None = None
    applied: bool = True
    own_losses: Tensor | None = None


@dataclass(frozen=True)
class Wanted:
    """What outputs() is to give.

    states: names that the family gives to states of the last slice, e.g. "states" for the final ones, (B, L, D) each.
    logits: "logits" (B, L, V). top_k above 0: "top_ids" int64 and "top_log_probabilities", at least fp32, (B, L, top_k)
    each, likeliest first. rows above 0: logits and top_k of the first so many samples of each micro-batch only, one
    micro-batch after another: whoever looks at a few samples holds no logits of the others.
    """

    states: tuple[str, ...] = ("states",)
    logits: bool = False
    top_k: int = 0
    rows: int = 0


class Engine(Protocol):
    """One rank's part of a model in training. All ranks call every method but the properties together."""

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Names of the entries of every loss vector."""

    @property
    def data_rank(self) -> int:
        """Which block of the global batch this rank learns from."""

    @property
    def data_ranks(self) -> int:
        """How many blocks there are."""

    @property
    def counts_once(self) -> bool:
        """True on one of the ranks that share a block: what it counts there is added to the other blocks' counts."""

    @property
    def depth(self) -> int:
        """Micro-batches that evaluate() and outputs() cut a batch into, so that every pipeline stage has work."""

    def describe(self) -> str:
        """How ranks are used, for a person."""

    def seed(self, seed: int, step: int) -> None:
        """Decide every random number of the next update, whatever ran before."""

    def update(
        self,
        batch: Batch,
        counts: Tensor,
        weights: Tensor,
        lr: float,
        should_stop: Callable[[], bool] | None = None,
    ) -> Update | None:
        """One step on sum_i weights[i] * (loss sum i / counts[i]) over the global batch, clipped, at this rate.

        counts (n_losses,): predictions in the global batch. should_stop, itself collective, may be asked before each
        micro-batch; on True the step is given up: nothing has changed and None is returned.
        """

    def rehearse(self, batch: Batch, counts: Tensor) -> None:
        """Forward and backward passes as of an update, without any effect."""

    def evaluate(self, batch: Batch) -> Tensor:
        """Loss sums, float64 (n_losses,), over the batches of all data-parallel ranks, without dropout. B is a multiple
        of depth."""

    def outputs(self, batch: Batch, wanted: Wanted) -> dict[str, Tensor]:
        """What the model makes of this data-parallel rank's batch, without dropout or gradient.

        Whole (not split over ranks or sequence) and equal on all ranks that share the batch; on the engine's device. B
        is a multiple of depth. With logits or top_k the batch has no labels, else ValueError.
        """

    def set_weights(self, value: Callable[[str, tuple[int, ...]], Tensor]) -> None:
        """Set every weight from its full value: value(name, global shape)."""

    def tensors(self) -> dict[str, Tensor]:
        """By flat key, model.<name> or optim.<state>.<name>; plain or DTensor: to save, or to fill and then load()."""

    def load(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Take over what was written into tensors() and the state() that was saved beside it. RuntimeError for a weight
        that nothing was written into."""

    def state(self) -> dict[str, Any]:
        """What else an update changes, as JSON: updates, the number of those applied; loss_scale, null without."""
