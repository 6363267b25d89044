"""The tokenizers and corpora that runs are tested on."""

from ..run.conftest import annotated, made

__all__ = ["annotated", "made"]
