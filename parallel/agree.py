"""What ranks do each for themselves and all must know the outcome of: an error of one becomes the error of all."""

import platform
from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

from taixue.base import UserError

from .ranks import OfAllRanks

T = TypeVar("T")


def gathered(group: dist.ProcessGroup, value: T) -> list[T]:
    """Every rank's value, by rank. Collective on `group` (all ranks): one all_gather_object."""
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value, group=group)
    return values


def agreed(group: dist.ProcessGroup, function: Callable[[], T]) -> T:
    """function() on every rank; this rank's result, once all have succeeded. One all_gather_object on `group`.

    Where it fails on some ranks, all raise OfAllRanks, a UserError that says what the first of them found; a rank that
    met neither a UserError nor an OSError, a bug, raises that.
    """
    failure: Exception | None = None
    try:
        result = function()
    except Exception as error:
        failure = error
    for said in gathered(group, "" if failure is None else _words(failure)):
        if said and (failure is None or isinstance(failure, UserError | OSError)):
            raise OfAllRanks(said) from failure
    if failure is not None:
        raise failure
    return result


def from_main(group: dist.ProcessGroup, function: Callable[[], T]) -> T:
    """function() on rank 0 alone; its result, or its error as by agreed(), on every rank. Two gathers on `group`."""
    mine = agreed(group, lambda: function() if dist.get_rank() == 0 else None)
    return gathered(group, mine)[0]  # type: ignore[return-value]


def _words(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    return f"rank {dist.get_rank()} on {platform.node()}: {kind}{error}"
