"""Tile shapes by head dim, dtype, length and architecture: a table, so that the same call always runs the same code.

Chosen by compilation for sm_80 and sm_90: the largest tiles without register spills whose shared memory fits.
"""

from typing import NamedTuple


class Tile(NamedTuple):
    """queries x keys of one tile, warps per program, depth of the load pipeline."""

    m: int
    n: int
    warps: int
    stages: int


class Tiles(NamedTuple):
    """queries: dQ; keys: dK and dV; line: the bias line, in squares of dQ's size: both must agree on what is near."""

    forward: Tile
    queries: Tile
    keys: Tile
    line: Tile


INTERPRETED = Tiles(Tile(64, 32, 4, 1), Tile(32, 32, 4, 1), Tile(32, 64, 4, 1), Tile(32, 32, 4, 1))
"""Small, so that small tests have many of them."""


def choose(head_dim: int, itemsize: int, queries: int, capability: tuple[int, int] | None) -> Tiles:
    """head_dim: padded to a power of two; itemsize: 2 or 4 bytes; capability None: the interpreter."""
    if capability is None:
        return INTERPRETED
    if itemsize == 4:
        return Tiles(*[Tile(32, 32, 8, 1)] * 4)
    square, eight, wide = Tile(64, 64, 4, 2), Tile(64, 64, 8, 2), head_dim > 64
    if capability >= (9, 0):
        if wide:
            return Tiles(Tile(128, 64, 8, 2), eight, Tile(32, 64, 8, 2), eight)
        return Tiles(square if queries <= 64 else Tile(128, 64, 8, 3), square, square, square)
    if wide:
        return Tiles(square, Tile(32, 32, 4, 2), eight, Tile(32, 32, 4, 2))
    return Tiles(square, eight, Tile(32, 64, 4, 2), square)
