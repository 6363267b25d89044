"""The engine of this project: a Runtime's losses and gradients, clipping, loss scaling, and an optimizer that is handed
in."""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Protocol

import torch
from torch import Tensor

from .engine import Batch, Update, Wanted
from .loss_scale import LossScaler
from .mesh import AXES
from .outputs import outputs
from .runtime import Runtime


class Optimizer(Protocol):
    """What is needed of an optimizer of sharded parameters; state holds tensors made before the first step.

    step multiplies gradients by the 0-dim `scale` first; it may issue collectives.
    """

    updates: int

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...
    @property
    def state(self) -> MutableMapping[Tensor, Any]: ...
    def step(self, *, scale: Tensor | None = None) -> None: ...


class NativeEngine:
    """An Engine (see engine.py). Collectives of each method: those of the Runtime's and the optimizer's."""

    def __init__(
        self, runtime: Runtime, optimizer: Optimizer, *, clip_norm: float, scaler: LossScaler | None = None
    ) -> None:
        """optimizer: of runtime.named_parameters(). clip_norm: largest gradient norm, 0 for any."""
        self.runtime, self.optimizer, self.clip_norm, self.scaler = runtime, optimizer, clip_norm, scaler
        self.loss_names = runtime.spec.loss_names
        self.data_rank, self.data_ranks = runtime.mesh.dp_rank, runtime.mesh.dp_size
        self.counts_once = runtime.mesh.tp_rank == 0 and runtime.mesh.pp_rank == 0
        self.depth = runtime.layout.pp

    def describe(self) -> str:
        sizes = zip(AXES, self.runtime.mesh.devices.shape, strict=True)
        return "mesh: " + ", ".join(f"{axis} {size}" for axis, size in sizes)

    def seed(self, seed: int, step: int) -> None:
        self.runtime.seed(seed, step)

    # -- steps --------------------------------------------------------------------------------------------------------

    def update(
        self,
        batch: Batch,
        counts: Tensor,
        weights: Tensor,
        lr: float,
        should_stop: Callable[[], bool] | None = None,
    ) -> Update | None:
        """As of Engine. In a pipeline nobody can turn back between micro-batches: should_stop is not asked."""
        scale = 1.0 if self.scaler is None else self.scaler.scale
        means = self.runtime.forward_backward(batch, counts, weights, scale=scale, should_stop=should_stop)
        if means is None:
            return None
        norm = self.runtime.grad_norm() / scale
        if self.scaler is None:
            self._apply(norm, scale, lr)
            self.runtime.zero_grad()
            return Update(means, norm, own_losses=self.runtime.own_losses)
        finite = bool(
            norm.isfinite() & means.isfinite().all()
        )  # waits for the device: the next scale depends on it
        if finite:
            self._apply(norm, scale, lr)
            self.scaler.succeeded()
        else:
            self.scaler.overflowed()
        self.runtime.zero_grad()
        return Update(means, norm, scale, finite, self.runtime.own_losses)

    def _apply(self, norm: Tensor, loss_scale: float, lr: float) -> None:
        """Let the optimizer step on gradients that are clipped and free of the loss scale. Waits for no device."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        factor = torch.ones_like(norm)
        if self.clip_norm:
            factor = (torch.full_like(norm, self.clip_norm) / (norm + 1e-6)).clamp(max=1.0)
        scaled = self.clip_norm or loss_scale != 1.0
        self.optimizer.step(scale=factor / loss_scale if scaled else None)

    def rehearse(self, batch: Batch, counts: Tensor) -> None:
        self.runtime.forward_backward(batch, counts)
        self.runtime.zero_grad()

    def evaluate(self, batch: Batch) -> Tensor:
        return self.runtime.evaluate(batch, self.depth)

    def outputs(self, batch: Batch, wanted: Wanted) -> dict[str, Tensor]:
        return outputs(self.runtime, batch, wanted, self.depth)

    # -- weights and state --------------------------------------------------------------------------------------------

    def set_weights(self, value: Callable[[str, tuple[int, ...]], Tensor]) -> None:
        """As of Engine. No communication."""
        self.runtime.load(value)

    def tensors(self) -> dict[str, Tensor]:
        """As of Engine; not copies. What several local stages hold appears once: replicas are equal."""
        weights: dict[str, Tensor] = {}
        states: dict[str, Tensor] = {}
        for name, parameter in self.runtime.named_parameters():
            weights.setdefault(f"model.{name}", parameter)
            for key, value in self._state_of(parameter).items():
                states.setdefault(f"optim.{key}.{name}", value)
        return weights | states

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """As of Engine. No communication: other local stages' replicas are given what the first was given."""
        first: dict[str, Tensor] = {}
        for name, parameter in self.runtime.named_parameters():
            source = first.setdefault(name, parameter)
            if source is not parameter:
                parameter.copy_(source)
                for key, value in self._state_of(parameter).items():
                    value.copy_(self._state_of(source)[key])
        self.runtime.check_weights()
        self.optimizer.updates = state["updates"]
        if self.scaler is not None and state["loss_scale"] is not None:
            self.scaler.scale, self.scaler.good_steps = state["loss_scale"]

    def state(self) -> dict[str, Any]:
        scaler = self.scaler
        return {
            "updates": self.optimizer.updates,
            "loss_scale": None if scaler is None else [scaler.scale, scaler.good_steps],
        }

    def _state_of(self, parameter: Tensor) -> dict[str, Tensor]:
        """Tensors the optimizer keeps beside a parameter, its count of steps left out."""
        return {key: value for key, value in self.optimizer.state[parameter].items() if key != "step"}
