"""The section of a UMT5."""

from typing import Literal

from pydantic import Field

from taixue.base.section import Width

from ..t5.config import T5Config


class UMT5Config(T5Config):
    """Shape of a UMT5: a T5 v1.1 whose layers each have a table of relative biases."""

    family: Literal["umt5"] = "umt5"  # type: ignore[assignment]  # a section is known by its family
    vocab_size: Width = Field(
        256384, description="rows of the embedding; at least the tokenizer's, a multiple of parallel.tp"
    )
