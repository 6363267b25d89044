"""Made-up batches for `taixue verify`: every input and label that a model's configuration knows, none of it even."""

from torch import Tensor

from ..config.schema import ModelConfig
from ..models import FAMILIES

TARGET = 10  # no multiple of 4: padding for sequence shards is exercised


def random_batch(config: ModelConfig, samples: int, step: int, source: int) -> dict[str, Tensor]:
    """Random tokens; some targets are ignored, so that ranks and micro-batches hold unequal counts."""
    return FAMILIES.of(config).probe(config, samples, step, (source, TARGET))
