"""The section of an ALBERT."""

from typing import Literal

from pydantic import Field

from taixue.base.section import Width

from ..bert.config import BertConfig


class AlbertConfig(BertConfig):
    """Shape of an ALBERT: a post-LN BERT with embeddings of their own size and one layer, applied num_layers times.

    dropout: 0.1 as in v1; v2 was published with 0.
    """

    family: Literal["albert"] = "albert"  # type: ignore[assignment]  # the key that tells sections apart
    embedding_size: Width = Field(128, description="width of the embeddings, projected to d_model")
    norm: Literal["post"] = Field(
        "post", description="LayerNorm after each sub-layer; there is no other ALBERT"
    )
    activation: Literal["gelu", "gelu_new", "relu"] = Field(
        "gelu_new", description="gelu_new: the tanh approximation"
    )
