"""The tokenizers and corpora of the small runs."""

from ..run.conftest import made

__all__ = ["made"]
