"""The order is a permutation for every key, and the mixture keeps its weights in every prefix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue.base import rng
from taixue.pretrain.data.order import SCHEDULE_LENGTH, Mixture, permute


@given(count=st.integers(1, 3000), key=st.integers(0, 2**64 - 1))
@settings(max_examples=100, deadline=None)
def test_it_is_a_permutation(count: int, key: int) -> None:
    sent = permute(np.arange(count), count, np.uint64(key))
    assert sorted(sent.tolist()) == list(range(count))


@given(
    numbers=st.lists(st.integers(0, 999), min_size=1, max_size=20),
    keys=st.lists(st.integers(0, 2**64 - 1), min_size=20, max_size=20),
)
@settings(deadline=None)
def test_every_element_is_on_its_own(numbers: list[int], keys: list[int]) -> None:
    """A batch over several epochs gives each number what it gets alone."""
    array, chosen = np.array(numbers), np.array(keys[: len(numbers)], np.uint64)
    together = permute(array, 1000, chosen)
    alone = [permute(array[i : i + 1], 1000, chosen[i])[0] for i in range(len(numbers))]
    assert together.tolist() == alone


def test_keys_give_unrelated_orders() -> None:
    count = 5000
    orders = permute(
        np.tile(np.arange(count), (4, 1)), count, rng.derive(np.uint64(9), np.arange(4))[:, None]
    )
    for first in range(4):
        assert abs(np.corrcoef(np.arange(count), orders[first])[0, 1]) < 0.08
        for second in range(first):
            assert (orders[first] == orders[second]).sum() < 15
            assert abs(np.corrcoef(orders[first], orders[second])[0, 1]) < 0.08


def test_small_orders_are_all_equally_frequent() -> None:
    """All 24 orders of 4 windows come up; a short epoch is shuffled too."""
    orders = permute(
        np.tile(np.arange(4), (24_000, 1)), 4, rng.derive(np.uint64(1), np.arange(24_000))[:, None]
    )
    kinds, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(kinds) == 24
    assert counts.min() > 500


def test_large_counts() -> None:
    count = 10**15 + 7
    numbers = np.array([0, 1, 12345, count - 1])
    sent = permute(numbers, count, np.uint64(1))
    assert ((sent >= 0) & (sent < count)).all()
    assert len(set(sent.tolist())) == 4


@given(
    weights=st.lists(st.floats(0.001, 1000), min_size=1, max_size=6),
    start=st.integers(0, 10 * SCHEDULE_LENGTH),
)
@settings(max_examples=60, deadline=None)
def test_the_mixture_keeps_its_weights(weights: list[float], start: int) -> None:
    mixture = Mixture(weights)
    assert mixture.quotas.sum() == SCHEDULE_LENGTH
    shares = np.array(weights) / sum(weights)
    assert np.abs(mixture.quotas - shares * SCHEDULE_LENGTH).max() <= len(weights)
    source, number = mixture(np.arange(2000))
    for index, quota in enumerate(mixture.quotas):
        taken = np.cumsum(source == index)
        assert number[source == index].tolist() == list(range(taken[-1]))
        due = quota / SCHEDULE_LENGTH * np.arange(1, 2001)
        assert np.abs(taken - due).max() <= (len(weights) + 1) / 2
    # Anywhere later, each source goes on counting without gap or repetition.
    source, number = mixture(np.arange(start, start + 500))
    for index in range(len(weights)):
        counted = number[source == index]
        assert (np.diff(counted) == 1).all()


def test_periods_go_on_where_the_last_ended() -> None:
    mixture = Mixture([0.7, 0.2, 0.1])
    source, number = mixture(np.arange(3 * SCHEDULE_LENGTH))
    for index in range(3):
        assert number[source == index].tolist() == list(range(3 * int(mixture.quotas[index])))


@pytest.mark.parametrize("weights", [[1.0], [1e-9, 1.0]])
def test_every_source_has_a_place(weights: list[float]) -> None:
    assert Mixture(weights).quotas.min() >= 1
