"""Weights drawn anew: each a function of the run's seed and its name."""

from ..run.history import Origin


def take(seed: int) -> Origin:
    """What a runtime holds when it is made: nothing is to be set."""
    return Origin(kind="seed", seed=seed)
