"""Tile shapes by architecture, head dim and options: a table, so that the same call always runs the same code.

Rows are chosen by compilation (`taixue kernels`), in this order: shared memory that fits, and Hopper's products on
Hopper; no register spills, or the fewest where dropout or groups must spill; loads of the loop that are asynchronous;
the most warps that registers and shared memory leave on a multiprocessor; the larger tile; the deeper pipeline.
"""

from typing import NamedTuple


class Tile(NamedTuple):
    """queries x keys of one tile, warps per program, depth of the load pipeline."""

    m: int
    n: int
    warps: int
    stages: int

    ahead: bool = False
    """Gather the bias line a turn ahead, where registers are free for it."""


class Tiles(NamedTuple):
    """queries: dQ; keys: dK and dV; line: the bias line, in squares of dQ's size: both must agree on what is near."""

    forward: Tile
    queries: Tile
    keys: Tile
    line: Tile


INTERPRETED = Tiles(
    Tile(64, 32, 4, 1, True), Tile(32, 32, 4, 1, True), Tile(32, 64, 4, 1, True), Tile(32, 32, 4, 1)
)
"""Small, so that small tests have many of them."""

SINGLE = Tiles(*[Tile(32, 32, 8, 1)] * 4)
"""For fp32."""

TABLE: dict[tuple[int, int, bool], Tiles] = {
    (90, 64, False): Tiles(
        Tile(128, 64, 8, 3, True), Tile(64, 64, 4, 2, True), Tile(64, 64, 4, 2, True), Tile(64, 64, 8, 3)
    ),
    (90, 64, True): Tiles(Tile(128, 64, 8, 3), Tile(64, 64, 4, 2), Tile(64, 64, 8, 2), Tile(64, 64, 8, 3)),
    (90, 128, False): Tiles(
        Tile(128, 64, 8, 2, True), Tile(64, 64, 8, 2, True), Tile(32, 64, 8, 2, True), Tile(64, 64, 8, 2)
    ),
    (90, 128, True): Tiles(Tile(128, 64, 8, 2), Tile(64, 64, 8, 2), Tile(32, 64, 8, 2), Tile(64, 64, 8, 2)),
    (80, 64, False): Tiles(Tile(64, 64, 4, 2), Tile(64, 64, 8, 2), Tile(32, 64, 4, 3), Tile(64, 64, 8, 3)),
    (80, 64, True): Tiles(Tile(64, 64, 4, 2), Tile(64, 64, 8, 2), Tile(32, 64, 4, 3), Tile(64, 64, 8, 3)),
    (80, 128, False): Tiles(Tile(64, 64, 8, 2), Tile(32, 32, 4, 2), Tile(64, 64, 8, 2), Tile(32, 32, 4, 2)),
    (80, 128, True): Tiles(Tile(64, 64, 8, 2), Tile(32, 32, 4, 2), Tile(64, 64, 8, 2), Tile(32, 32, 4, 2)),
}
"""For two-byte numbers: by architecture, head dim up to, and whether there is dropout or are groups."""

SHORT = Tile(64, 64, 4, 2)
"""Forward, for at most 64 queries of head dim 64."""


def choose(
    head_dim: int, itemsize: int, queries: int, capability: tuple[int, int] | None, extra: bool = False
) -> Tiles:
    """head_dim: padded to a power of two; itemsize: 2 or 4 bytes; capability None: the interpreter; extra: dropout or
    groups."""
    if capability is None:
        return INTERPRETED
    if itemsize == 4:
        return SINGLE
    wide = head_dim > 64
    row = TABLE[90 if capability >= (9, 0) else 80, 128 if wide else 64, extra]
    return row._replace(forward=SHORT) if queries <= 64 and not wide else row
