"""What a run is between two steps, as tensors and JSON: how it is saved, resumed and started from
elsewhere.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist

from taixue import UserError
from taixue.parallel.engine import Engine

from .. import checkpoint
from ..config.schema import RunConfig
from ..models import ModelSpec


@dataclass
class TrainState:
    """Everything that a step changes. fingerprint identifies the data the steps are taken on.

    evaluation_due: the evaluation after the last step was cut short by a request to stop. It is not restored: a
    checkpoint is never written again, so only the metrics tell whether a later start has made up for it.
    """

    run: RunConfig
    engine: Engine
    fingerprint: str
    raw_length: int
    evaluation_due: bool = False

    def describe(self, done: int) -> dict[str, Any]:
        """JSON beside the tensors after `done` steps."""
        samples = done * self.run.batch.global_size
        return {
            "step": done,
            "samples": samples,
            "tokens": samples * self.raw_length,
            "seed": self.run.seed,
            "fingerprint": self.fingerprint,
            **self.engine.state(),
            "evaluation_due": self.evaluation_due,
            "config": self.run.model_dump(mode="json"),
        }

    def restore(self, path: Path, group: dist.ProcessGroup) -> int:
        """Take over a verified and compatible checkpoint of any layout; the steps it has done. Collective."""
        state, tensors = checkpoint.read_state(path), self.engine.tensors()
        checkpoint.restore(path, tensors, group)
        self.engine.load(tensors, state)
        return int(state["step"])

    def start_from(self, folder: str, spec: ModelSpec) -> None:
        """Set the weights to those of a Hugging Face folder; what serves pretraining only starts as in a new run.

        Raises UserError if its model is another one.
        """
        from ..export import from_hf
        from ..export.mapping import is_extra

        config, tensors = from_hf(folder)
        theirs, ours = config.model_dump(), self.run.model.model_dump()
        for key in ours:
            if (
                key not in ("dropout", "features", "heads", "knowledge_width")
                and theirs.get(key) != ours[key]
            ):
                raise UserError(
                    f"init_from: {folder} has model.{key} = {theirs.get(key)!r}, the configuration says {ours[key]!r}: "
                    f"set model.{key} to {theirs.get(key)!r}"
                )
        self.engine.set_weights(
            lambda name, shape: spec.init(name, shape) if is_extra(name) else tensors[name]
        )
