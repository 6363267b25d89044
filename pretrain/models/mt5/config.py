"""The section of an mT5."""

from typing import Literal

from pydantic import Field

from taixue.base.section import Width

from ..t5.config import T5Config


class MT5Config(T5Config):
    """Shape of an mT5: a T5 v1.1 with a vocabulary of its own."""

    family: Literal["mt5"] = "mt5"  # type: ignore[assignment]  # a section is known by its family
    vocab_size: Width = Field(
        250112, description="rows of the embedding; at least the tokenizer's, a multiple of parallel.tp"
    )
    tie_embeddings: Literal[False] = Field(False, description="an mT5 has two matrices")
