"""Made-up batches of a family: the draws they share. None of it is even, so that ranks hold unequal counts."""

import torch
from torch import Tensor

from taixue.kernels.loss import IGNORE

from .linguistic_config import FeaturesConfig


class Draws:
    """Random tensors of a batch of `samples` samples; the same for the same step."""

    def __init__(self, samples: int, step: int) -> None:
        self.samples, self._generator = samples, torch.Generator().manual_seed(step)

    def numbers(self, low: int, high: int, *shape: int) -> Tensor:
        """int64 (B, *shape), low <= x < high, or low where that is empty."""
        return torch.randint(low, max(high, low + 1), (self.samples, *shape), generator=self._generator)

    def ids(self, vocabulary: int, length: int) -> Tensor:
        """Token ids (B, length), no padding where there is another token."""
        return self.numbers(min(1, vocabulary - 1), vocabulary, length)

    def some(self, labels: Tensor, ignored: float) -> Tensor:
        """The labels, IGNORE for a share of them."""
        return labels.masked_fill(torch.rand(labels.shape, generator=self._generator) < ignored, IGNORE)

    def mask(self, length: int) -> Tensor:
        """attention_mask (B, length): at least half of each row, and one position, is text."""
        return torch.arange(length)[None] < self.numbers(max(length // 2, 1), length + 1, 1)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, (B, *shape)."""
        return torch.randn(self.samples, *shape, generator=self._generator)

    def features(self, config: FeaturesConfig, length: int) -> dict[str, Tensor]:
        """Linguistic inputs of the kinds that `config` wants; the first sample has none."""

        def numbers(limit: int, *shape: int) -> Tensor:
            drawn = self.numbers(0, limit, length, *shape)
            drawn[0] = 0
            return drawn

        features = {"pos_ids": numbers(config.pos_tags)} if config.pos_tags else {}
        features |= {"role_ids": numbers(config.roles, 3)} if config.roles else {}
        features |= {"word_groups": numbers(2).cumsum(1)} if config.word_bias else {}
        features |= {"clause_groups": numbers(3) // 2} if config.clause_bias else {}
        return features
