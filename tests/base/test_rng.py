"""Counter-based numbers equal their plain definition and are uniform."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taixue.base import rng

from ..pretrain.objectives import plain

keys = st.integers(0, 2**64 - 1)


@given(key=keys, stream=st.integers(0, 10), count=st.integers(1, 20))
def test_numbers_equal_the_plain_definition(key: int, stream: int, count: int) -> None:
    array = np.array([key, key ^ 1], np.uint64)
    expected = [[plain.draw(one, stream, place) for place in range(count)] for one in (key, key ^ 1)]
    assert rng.draw(array, stream, count).tolist() == expected
    assert rng.derive(array, stream).tolist() == [plain.derive(one, stream) for one in (key, key ^ 1)]
    ranks = [[plain.rank(one, stream, place) for place in range(count)] for one in (key, key ^ 1)]
    assert rng.order_keys(rng.derive(array, stream), count).tolist() == ranks
    assert rng.below(array, 7).tolist() == [plain.below(one, 7) for one in (key, key ^ 1)]


def test_splitmix64_reference_values() -> None:
    """First outputs of the published generator for seed 1234567."""
    seed = np.full(3, 1234567, np.uint64)
    numbers = rng.draw_at(seed, np.arange(3))
    assert numbers.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize(("count", "size"), [(6, 2), (6, 6), (5, 0), (5, 1)])
def test_subsets_are_uniform(count: int, size: int) -> None:
    chosen = rng.random_subset(rng.derive(np.uint64(5), np.arange(60_000)), count, size)
    assert chosen.shape == (60_000, size)
    assert (np.diff(chosen, axis=1) > 0).all()
    if not size:
        return
    kinds, counts = np.unique(chosen, axis=0, return_counts=True)
    expected = 60_000 / len(kinds)
    assert len(kinds) == {(6, 2): 15, (6, 6): 1, (5, 1): 5}[count, size]
    # Chi-squared with k - 1 degrees of freedom: mean k - 1, standard deviation sqrt(2 (k - 1)).
    freedom = len(kinds) - 1
    assert ((counts - expected) ** 2 / expected).sum() <= freedom + 5 * (2 * freedom) ** 0.5


@given(key=keys, place=st.integers(0, 2**40), limit=st.integers(1, 2**31))
def test_single_integers_as_arrays(key: int, place: int, limit: int) -> None:
    array, places = np.array([key], np.uint64), np.array([place])
    assert rng.mix_one(key) == int(rng.mix(array)[0])
    assert rng.number_at(key, place) == int(rng.draw_at(array, places)[0])
    assert rng.below_32(key, limit) == int(rng.below(array, limit)[0])
    assert rng.below_64(key, limit) == key * limit // 2**64
    first = [number for number, _ in zip(rng.numbers(key), range(3), strict=False)]
    assert first == rng.draw_at(array, np.arange(3)).tolist()
