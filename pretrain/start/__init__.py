"""Where the weights of a run that has no checkpoint yet come from: fresh numbers, or a Hugging Face folder."""

import torch.distributed as dist

from taixue.parallel.agree import agreed, from_main
from taixue.parallel.engine import Engine

from ..config.schema import RunConfig
from ..models import ModelSpec
from ..run.history import Origin
from . import fresh, from_folder

__all__ = ["first_weights"]


def first_weights(run: RunConfig, engine: Engine, spec: ModelSpec, group: dist.ProcessGroup) -> Origin:
    """Set the weights that `run` starts from, on every rank; what they are. UserError if they do not fit the model.

    Collective on `group` (gloo, all ranks): gathers, none for fresh weights.
    """
    if not run.init_from:
        return fresh.take(run.seed, engine, spec)
    agreed(group, lambda: from_folder.take(run.init_from, run.model, engine, spec))
    return from_main(group, lambda: from_folder.origin(run.init_from))
