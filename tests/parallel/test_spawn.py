"""The rank runner itself: results by rank, failures with their traceback, hangs with stacks."""

import time

import pytest
import torch
import torch.distributed as dist

from taixue.parallel.spawn import run_ranks


def _sum() -> float:
    value = torch.tensor(float(dist.get_rank() + 1))
    dist.all_reduce(value)
    return value.item()


def _fail() -> None:
    if dist.get_rank() == 1:
        raise RuntimeError("planted failure")


def _hang() -> None:
    if dist.get_rank() == 1:
        time.sleep(60)


def test_results_come_back_by_rank() -> None:
    assert run_ranks(_sum, 3) == [6.0, 6.0, 6.0]


def test_a_failing_rank_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)rank 1 failed.*planted failure"):
        run_ranks(_fail, 2, deadline=20)


def test_a_hang_fails_with_stacks() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)_hang"):
        run_ranks(_hang, 2, deadline=3)
