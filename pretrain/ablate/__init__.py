"""`taixue ablate`: does masking by knowledge help? The same small model with plain and with knowledge masks, probed."""

from .compare import ablate

__all__ = ["ablate"]
