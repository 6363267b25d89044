"""Weights drawn anew: each a function of the run's seed and its name."""

from taixue.parallel.engine import Engine

from ..models import ModelSpec
from ..run.history import Origin


def take(seed: int, engine: Engine, spec: ModelSpec) -> Origin:
    """Set every weight to its starting value. No communication."""
    engine.set_weights(spec.init)
    return Origin(kind="seed", seed=seed)
