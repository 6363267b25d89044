"""ALBERT (Lan et al. 2020): a post-LN BERT whose embeddings are factorised and whose layers are one layer.

The layer's parameters are `layers.0` in every slice, so that pipeline stages hold replicas of one parameter. Dropout
follows the published code, which has it after the feed-forward layer, too; transformers leaves it out there.

Letters: B batch, S sequence length, D model width, E embedding size.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from ..bert.model import Bert
from .config import AlbertConfig


class Albert(Bert):
    """As Bert, in layers, inputs, outputs and losses."""

    def __init__(self, config: AlbertConfig, layers: range | None = None) -> None:
        super().__init__(config, layers, config.embedding_size)
        if self.is_first:
            self.projection = nn.Linear(config.embedding_size, config.d_model)

    def place(self, layer: int) -> int:
        return 0

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        """A batch -> (B, S, E) -> (B, S, D)."""
        return self.projection(super().embed(batch))
