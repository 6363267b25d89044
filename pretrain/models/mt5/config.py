"""The section of an mT5."""

from typing import Literal

from pydantic import PositiveInt

from ..t5.config import T5Config


class MT5Config(T5Config):
    """Shape of an mT5: a T5 v1.1 with a vocabulary of its own."""

    family: Literal["mt5"] = "mt5"  # type: ignore[assignment]  # a section is known by its family
    vocab_size: PositiveInt = 250112
    tie_embeddings: Literal[False] = False
