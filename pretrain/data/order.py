"""Sample order without state: a keyed permutation of the windows and a fixed schedule of the sources.

Both are functions of numbers alone, so the state of the data is the number of samples seen.
"""

import numpy as np

from taixue.base import rng

_ROUNDS = 8
SCHEDULE_LENGTH = 1 << 16


def permute(numbers: np.ndarray, count: int, keys: np.ndarray) -> np.ndarray:
    """int64, the shape of numbers: where a keyed permutation of range(count) sends numbers in [0, count).

    keys (uint64, broadcast with numbers) choose the permutation. A Feistel network on the smallest power of
    two that holds count; values outside are sent through again until they fall inside
    (cycle walking; Black, Rogaway 2002).
    """
    bits = max((count - 1).bit_length(), 2)
    left_bits, right_bits = np.uint64(bits // 2), np.uint64(bits - bits // 2)
    left_mask = np.uint64((1 << int(left_bits)) - 1)
    right_mask = np.uint64((1 << int(right_bits)) - 1)
    # A batch has few different keys: those of its epochs.
    different, which = np.unique(
        np.broadcast_to(np.asarray(keys, np.uint64), numbers.shape), return_inverse=True
    )
    round_keys = rng.derive(different, np.arange(_ROUNDS)[:, None])[:, which.ravel()]
    values = numbers.astype(np.uint64).ravel()
    walking = np.arange(values.size)
    while walking.size:
        left, right = values[walking] >> right_bits, values[walking] & right_mask
        for number in range(_ROUNDS):
            key = round_keys[number][walking]
            if number % 2:
                left ^= rng.mix(key ^ right) & left_mask
            else:
                right ^= rng.mix(key ^ left) & right_mask
        values[walking] = (left << right_bits) | right
        walking = walking[values[walking] >= count]
    return values.astype(np.int64).reshape(numbers.shape)


class Mixture:
    """Which source sample k comes from, and the how-manieth of that source it is.

    A period of 65,536 samples holds every source as often as its weight says (to 1 / 65,536, at least once),
    spread evenly: in any prefix of the samples, of K sources each is within (K + 1) / 2 of its share.
    """

    def __init__(self, weights: list[float]) -> None:
        self.quotas = _quotas(weights, SCHEDULE_LENGTH)
        # Source i's j-th sample of a period is due at (2j + 1) / 2q: equal fractions are equal floats, ties go by i.
        due = np.concatenate([(2 * np.arange(quota) + 1) / (2 * quota) for quota in self.quotas])
        source = np.repeat(np.arange(len(weights)), self.quotas)
        rank = np.concatenate([np.arange(quota) for quota in self.quotas])
        order = np.argsort(due, kind="stable")
        self._source, self._rank = source[order], rank[order]

    def __call__(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """samples int64 (N,) -> source (N,), number within the source (N,)."""
        period, place = np.divmod(samples, SCHEDULE_LENGTH)
        source = self._source[place]
        return source, period * self.quotas[source] + self._rank[place]


def _quotas(weights: list[float], total: int) -> np.ndarray:
    """Integers in proportion to the weights, each at least 1, summing to total (largest remainders)."""
    shares = np.array(weights) / sum(weights) * (total - len(weights))
    quotas = np.floor(shares).astype(np.int64)
    missing = total - len(weights) - int(quotas.sum())
    quotas[np.argsort(quotas - shares, kind="stable")[:missing]] += 1
    return quotas + 1
