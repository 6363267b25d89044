"""What a run is between two steps, as tensors and JSON: how it is saved, resumed and started from elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist

from taixue.parallel.engine import Engine

from .. import checkpoint
from ..config.schema import RunConfig
from ..models import FAMILIES
from ..objectives.summary import ObjectiveFacts


@dataclass
class TrainState:
    """Everything that a step changes. fingerprint identifies the data the steps are taken on.

    evaluation_due: the evaluation after the last step was cut short by a request to stop. It is not restored: a
    checkpoint is never written again, so only the metrics tell whether a later start has made up for it.
    """

    run: RunConfig
    engine: Engine
    fingerprint: str
    objective: ObjectiveFacts
    evaluation_due: bool = False

    @property
    def losses(self) -> Mapping[str, str]:
        """The losses of the model, in order -> the key of their labels in a batch."""
        return FAMILIES.of(self.run.model).losses(self.run.model)

    def describe(self, done: int) -> dict[str, Any]:
        """JSON beside the tensors after `done` steps."""
        samples = done * self.run.batch.global_size
        return {
            "step": done,
            "samples": samples,
            "tokens": samples * self.objective.raw_length,
            "seed": self.run.seed,
            "fingerprint": self.fingerprint,
            **self.engine.state(),
            "evaluation_due": self.evaluation_due,
            "objective": self.objective.model_dump(mode="json"),
            "config": self.run.model_dump(mode="json"),
        }

    def restore(self, path: Path, group: dist.ProcessGroup) -> int:
        """Take over a verified and compatible checkpoint of any layout; the steps it has done. Collective."""
        state, tensors = checkpoint.read_state(path), self.engine.tensors()
        checkpoint.restore(path, tensors, group)
        self.engine.load(tensors, state)
        return int(state["step"])
