"""Twin of hash128.h, exact.cc and minhash.cc.

Texts are equal when what counts in them is: compatibility forms of characters (NFKC) are one, characters without width
do not count, a run of white space is one space, and there is none at the ends. Tokenizers ignore these, too.

The 128-bit hash keeps two lanes; each multiplies two 64-bit words to 128 bits and folds the halves (the "mum" step of
wyhash and xxh3). It is for finding equal texts, not for security.
"""

import numpy as np

from .characters import IS_WORD, classes, identity

_MASK = (1 << 64) - 1
SECRET = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93)
NO_SHINGLE = _MASK
_MULTIPLIER = 0x9E3779B97F4A7C15


def hash128(data: bytes) -> tuple[int, int]:
    """Two 64-bit halves."""
    first, second = len(data) ^ SECRET[0], len(data) ^ SECRET[1]
    for begin in range(0, len(data), 16):
        block = data[begin : begin + 16].ljust(16, b"\0")
        low, high = int.from_bytes(block[:8], "little"), int.from_bytes(block[8:], "little")
        first = _fold(low ^ SECRET[2], high ^ first)
        second = _fold(high ^ SECRET[3], low ^ second)
    return murmur(first), murmur(second ^ SECRET[0])


def murmur(value: int) -> int:
    """MurmurHash3's finalizer, a bijection."""
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & _MASK
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return value ^ value >> 33


def _fold(left: int, right: int) -> int:
    product = left * right
    return product & _MASK ^ product >> 64


def exact_hash(texts: list[str]) -> np.ndarray:
    """uint64 (N, 2)."""
    return _table([hash128(_form(text)) for text in texts])


def paragraph_hashes(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """uint64 (M, 3) and int64 (N + 1,): of every line, (0, 0) where nothing counts; and its characters."""
    rows, offsets = [], [0]
    for text in texts:
        for line in text.split("\n"):
            form = _form(line)
            rows.append((*(hash128(form) if form else (0, 0)), len(line)))
        offsets.append(len(rows))
    return np.array(rows, np.uint64).reshape(-1, 3), np.array(offsets, np.int64)


def _form(text: str) -> bytes:
    """What counts in a text, as UTF-32."""
    words = text.translate(identity()).split(" ")
    return " ".join(word for word in words if word).encode("utf-32-le")


def token_hash(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """uint64 (N,)."""
    ends = np.cumsum(lengths)
    rows = [tokens[end - size : end] for end, size in zip(ends.tolist(), lengths.tolist(), strict=True)]
    return np.array([hash128(row.astype("<i4").tobytes())[0] for row in rows], np.uint64)


def minhash_bands(texts: list[str], ngram: int, permutations: int, bands: int, seed: int) -> np.ndarray:
    """uint64 (N, bands)."""
    keys = round_keys(permutations, seed)
    out = np.full((len(texts), bands), NO_SHINGLE, np.uint64)
    for row, text in zip(out, texts, strict=True):
        shingles = _shingles(text, ngram)
        if shingles:
            row[:] = _bands(_smallest(shingles, keys, permutations), bands)
    return out


def round_keys(bins: int, seed: int) -> list[int]:
    """One uint64 for each of the 2 * bins rounds of `_smallest`."""
    return [murmur((seed + _MULTIPLIER * (k + 1)) & _MASK) for k in range(2 * bins)]


def _smallest(shingles: set[int], keys: list[int], bins: int) -> list[int]:
    """One minimum per bin, by fast similarity sketching (Dahlgaard, Knudsen, Thorup, FOCS 2017).

    In each round every shingle falls into one bin with a 32-bit number, both by a new hash; a bin that was empty before
    the round keeps the smallest number, until no bin is empty: after one round for all but short texts. In a round
    number bins + k, all shingles fall into bin k, so 2 * bins rounds are enough. For any two sets the expected share of
    bins in which they agree is their Jaccard similarity, with a variance no larger than that of independent
    permutations.
    """
    out: list[int | None] = [None] * bins
    for number, key in enumerate(keys):
        found: dict[int, int] = {}
        for shingle in shingles:
            mixed = murmur((shingle + key) & _MASK)
            bin_ = (mixed >> 32) * bins >> 32 if number < bins else number - bins
            found[bin_] = min(found.get(bin_, _MASK), mixed & 0xFFFFFFFF)
        out = [found.get(bin_) if kept is None else kept for bin_, kept in enumerate(out)]
        if None not in out:
            break
    return [value for value in out if value is not None]


def _shingles(text: str, ngram: int) -> set[int]:
    table = classes()
    points = [ord(c) + 32 * ("A" <= c <= "Z") for c in text if table[ord(c)] & IS_WORD]
    found = set()
    for begin in range(max(len(points) - ngram + 1, min(len(points), 1))):
        value = 0
        for point in points[begin : begin + ngram]:
            value = (value * _MULTIPLIER + point) & _MASK
        found.add(value)
    return found


def _bands(smallest: list[int], bands: int) -> list[int]:
    rows = len(smallest) // bands
    out = []
    for band in range(bands):
        value = band
        for minimum in smallest[band * rows : (band + 1) * rows]:
            value = (murmur(value ^ minimum) + _MULTIPLIER) & _MASK
        # All ones mean "no shingle".
        out.append(value if value != NO_SHINGLE else 0)
    return out


def _table(rows: list[tuple[int, int]]) -> np.ndarray:
    return np.array(rows, np.uint64).reshape(-1, 2)
