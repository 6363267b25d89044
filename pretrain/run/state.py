"""What a run is between two steps, as tensors and JSON: how it is saved, resumed and started from
elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from taixue.parallel.runtime import Runtime

from .. import checkpoint
from ..config.schema import RunConfig
from ..models import FAMILIES
from ..objectives.facts import ObjectiveFacts
from ..optim import LossScaler, TrainOptimizer, optimizer_tensors


@dataclass
class TrainState:
    """Everything that a step changes. fingerprint identifies the data the steps are taken on.

    evaluation_due: the evaluation after the last step was cut short by a request to stop. It is not restored: a
    checkpoint is never written again, so only the metrics tell whether a later start has made up for it.
    """

    run: RunConfig
    runtime: Runtime
    optimizer: TrainOptimizer
    scaler: LossScaler | None
    fingerprint: str
    objective: ObjectiveFacts
    evaluation_due: bool = False

    @property
    def losses(self) -> Mapping[str, str]:
        """The losses of the model, in order -> the key of their labels in a batch."""
        return FAMILIES.of(self.run.model).losses(self.run.model)

    def tensors(self) -> dict[str, Tensor]:
        """Flat keys model.<name> and optim.<state>.<name>; not copies. Weights that several local stages hold
        appear once: their values are equal.
        """
        named = self.runtime.named_parameters()
        weights: dict[str, Tensor] = {}
        for name, parameter in named:
            weights.setdefault(f"model.{name}", parameter)
        return weights | {f"optim.{key}": t for key, t in optimizer_tensors(self.optimizer, named).items()}

    def describe(self, done: int) -> dict[str, Any]:
        """JSON beside the tensors after `done` steps."""
        samples = done * self.run.batch.global_size
        return {
            "step": done,
            "samples": samples,
            "tokens": samples * self.objective.raw_length,
            "seed": self.run.seed,
            "fingerprint": self.fingerprint,
            "updates": self.optimizer.updates,
            "loss_scale": None if self.scaler is None else [self.scaler.scale, self.scaler.good_steps],
            "evaluation_due": self.evaluation_due,
            "objective": self.objective.model_dump(mode="json"),
            "config": self.run.model_dump(mode="json"),
        }

    def restore(self, path: Path, group: dist.ProcessGroup) -> int:
        """Take over a verified and compatible checkpoint of any layout; the steps it has done. Collective."""
        state = checkpoint.read_state(path)
        mine = self.tensors()
        checkpoint.restore(path, mine, group)
        self._copy_to_replicas()
        self.optimizer.updates = state["updates"]
        if self.scaler is not None and state["loss_scale"] is not None:
            self.scaler.scale, self.scaler.good_steps = state["loss_scale"]
        return int(state["step"])

    @torch.no_grad()
    def _copy_to_replicas(self) -> None:
        """Give other local stages that hold the same weights what the first was given."""
        first: dict[str, Any] = {}
        for name, parameter in self.runtime.named_parameters():
            source = first.setdefault(name, parameter)
            if source is not parameter:
                parameter.copy_(source)
                for key, value in self.optimizer.state[parameter].items():
                    value.copy_(self.optimizer.state[source][key])
