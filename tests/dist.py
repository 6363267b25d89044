"""The rank runner of the product, under the name tests use."""

from taixue.parallel.spawn import run_ranks

__all__ = ["run_ranks"]
