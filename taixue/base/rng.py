"""Random numbers without state: splitmix64 of (key, stream, counter).

A number depends on nothing but these three, so a sample's masks are the same in any batch, rank, worker or
resumed run. Arithmetic is modulo 2**64. Source: Steele, Lea, Flood, "Fast
Splittable Pseudorandom Number Generators", 2014.

Arrays first; below them the same for single Python integers, and rng.h has those for C++.
"""

from collections.abc import Iterator
from itertools import count as counted

import numpy as np

_CONSTANTS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_GOLDEN, _MULTIPLY_1, _MULTIPLY_2 = (np.uint64(value) for value in _CONSTANTS)
_ALL_64 = 2**64 - 1
_27, _30, _31, _32 = (np.uint64(bits) for bits in (27, 30, 31, 32))
_LOW_32 = np.uint64(0xFFFFFFFF)


def mix(values: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser: a bijection of uint64, any shape; new array."""
    mixed = values ^ (values >> _30)
    mixed *= _MULTIPLY_1
    mixed ^= mixed >> _27
    mixed *= _MULTIPLY_2
    mixed ^= mixed >> _31
    return mixed


def derive(keys: np.ndarray | np.uint64, number: int | np.ndarray) -> np.ndarray:
    """Independent keys: one uint64 per pair of key and number (broadcast)."""
    with np.errstate(over="ignore"):
        counter = (np.asarray(number).astype(np.uint64) + np.uint64(1)) * _GOLDEN
        return mix(mix(np.asarray(keys, np.uint64)) + counter)


def draw(keys: np.ndarray, stream: int, count: int) -> np.ndarray:
    """uint64 (B, count): the first `count` numbers of a stream for each key of (B,)."""
    return draw_at(derive(keys, stream)[:, None], np.arange(count))


def draw_at(stream_keys: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """uint64 numbers at chosen positions of streams; stream_keys = derive(keys, stream), broadcast with positions."""
    return mix(stream_keys + (positions.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def below(numbers: np.ndarray, limit: int | np.ndarray) -> np.ndarray:
    """int64 in [0, limit) from the low 32 bits of uint64 numbers; limit < 2**32. Bias at most limit / 2**32."""
    return (((numbers & _LOW_32) * np.asarray(limit).astype(np.uint64)) >> _32).astype(np.int64)


def high(numbers: np.ndarray) -> np.ndarray:
    """The high 32 bits: a second number, independent of the low ones."""
    return numbers >> _32


def order_keys(stream_keys: np.ndarray, count: int) -> np.ndarray:
    """uint64 (B, count), distinct in a row: 44 random bits above the position (count <= 2**20); stream_keys (B,).

    The k smallest of a row sit at a uniformly random k-subset of the positions.
    """
    position = np.arange(count, dtype=np.uint64)
    return (draw_at(stream_keys[:, None], np.arange(count)) & ~POSITION_MASK) | position


POSITION_MASK = np.uint64(2**20 - 1)


def random_subset(stream_keys: np.ndarray, count: int, size: int) -> np.ndarray:
    """int64 (B, size), ascending in a row: a uniformly random subset of range(count) for each key of (B,)."""
    if size == 0:
        return np.zeros((len(stream_keys), 0), np.int64)
    ranked = order_keys(stream_keys, count)
    if size < count:
        ranked.partition(size - 1, axis=1)
    chosen = (ranked[:, :size] & POSITION_MASK).astype(np.int64)
    chosen.sort(axis=1)
    return chosen


def mix_one(value: int) -> int:
    """`mix` of one integer in [0, 2**64)."""
    value = (value ^ (value >> 30)) * _CONSTANTS[1] & _ALL_64
    value = (value ^ (value >> 27)) * _CONSTANTS[2] & _ALL_64
    return value ^ (value >> 31)


def number_at(key: int, place: int) -> int:
    """The 64-bit number at a place of the stream that a key names, as `draw_at`."""
    return mix_one((key + (place + 1) * _CONSTANTS[0]) & _ALL_64)


def numbers(key: int) -> Iterator[int]:
    """The numbers of a stream, one after another, without end."""
    return (number_at(key, place) for place in counted())


def below_64(number: int, limit: int) -> int:
    """A 64-bit number to one in [0, limit), bias at most limit / 2**64."""
    return number * limit >> 64


def below_32(number: int, limit: int) -> int:
    """The same from the low 32 bits, as `below`."""
    return (number & 0xFFFFFFFF) * limit >> 32
