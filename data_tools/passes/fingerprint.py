"""What copies of a document have in common: hashes of its text and of its paragraphs, bands and a sketch of n-grams.

MinHash (Broder 1997): of the hashes of a document's character n-grams, under each of P permutations, the smallest.
Two documents agree in one permutation with the probability of their Jaccard similarity. A band is a hash of P / bands
minima, so documents with an equal band are candidates; the sketch keeps 8 bits of each minimum (Li and König 2010),
enough to estimate the similarity of a candidate pair with a standard deviation of sqrt(J (1 - J) / P).
"""

import numpy as np

from taixue.base import rng

from .. import native
from ..config import DeduplicateConfig

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)


def near(texts: native.Texts, config: DeduplicateConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bands uint64 (N, bands) and sketches uint8 (N, permutations) of N texts, and which have any n-gram, bool (N,)."""
    minima = native.minhash_bands(
        texts,
        ngram=config.ngram,
        permutations=config.permutations,
        bands=config.permutations,
        seed=config.seed,
    )
    grouped = minima.reshape(len(texts), config.bands, config.permutations // config.bands)
    # The number of the band is part of its hash: bands of all numbers share one table.
    bands = np.broadcast_to(rng.mix(np.arange(config.bands, dtype=np.uint64)), grouped.shape[:2]).copy()
    for row in range(grouped.shape[2]):
        bands ^= grouped[:, :, row]
        bands *= _MULTIPLIER
        bands ^= bands >> _SHIFT
    return rng.mix(bands), minima.astype(np.uint8), minima[:, 0] != np.uint64(native.NO_SHINGLE)


def similarity(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Estimated Jaccard similarity float64 (N,) of pairs of sketches (N, P): 1 of 256 is equal by chance."""
    equal = np.count_nonzero(left == right, axis=1) / left.shape[1]
    return (equal - 1 / 256) / (1 - 1 / 256)
