"""Connected components of a graph whose edges do not fit into memory.

The ids are cut into ranges so that the edges of one range fit. First from the highest range down: an edge belongs to
the range of its larger end; within a range, each component hands its smallest node m to the others as their parent,
and its nodes v of lower ranges are joined to m by an edge (m, v) for their own range. So a parent is always smaller,
and no more edges are written than were read. Then from the lowest range up: a node's root is its parent's root, which
is known by then, and is sent on to the range of the node. (This is time-forward processing: Chiang et al. 1995.)
Every range is read once in each direction; memory is one range's edges, disk a few times all edges.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from . import record
from .runs import stretches

_BLOCK = 1 << 18
EDGE_MEMORY = 360  # bytes held per edge of a range at the peak, measured


class Parts:
    """Rows (N, 2) of uint64, set aside in files by the range that one column falls into."""

    def __init__(self, folder: Path, name: str, cuts: np.ndarray) -> None:
        self._folder, self._name, self._cuts = folder, name, cuts

    def add(self, rows: np.ndarray, column: int) -> None:
        """Append each row to the file of the range of its column."""
        if not len(rows):
            return
        part = np.searchsorted(self._cuts, rows[:, column], side="right") - 1
        order = np.argsort(part, kind="stable")
        rows, part = rows[order], part[order]
        for begin, end in stretches(part):
            with self._path(int(part[begin])).open("ab") as stream:
                stream.write(rows[begin:end].tobytes())

    def take(self, part: int) -> np.ndarray:
        """All rows of a range; its file is gone afterwards."""
        return np.concatenate([np.zeros((0, 2), np.uint64), *self.blocks(part)])

    def blocks(self, part: int) -> Iterator[np.ndarray]:
        """All rows of a range, some at a time; its file is gone afterwards."""
        path = self._path(part)
        if path.exists():
            yield from read_pairs([path])
            path.unlink()

    def _path(self, part: int) -> Path:
        return self._folder / f"{self._name}-{part}"


def read_pairs(paths: Iterable[Path]) -> Iterator[np.ndarray]:
    """Blocks uint64 (N, 2) of files of pairs. UserError for half a pair."""
    for path in paths:
        if (size := path.stat().st_size) % 16:
            raise record.damaged(path, f"{size} bytes are no pairs of 16")
        with path.open("rb") as stream:
            while len(block := np.fromfile(stream, np.uint64, 2 * _BLOCK)):
                yield block.reshape(-1, 2)


def cut_ids(paths: Iterable[Path], column: int, low_bits: int, most: int) -> np.ndarray:
    """First id of each range, ascending from 0: at most `most` pairs have their id of a column in a range.

    Ids are cut where their low_bits are 0, so a range has more when one such group alone does.
    """
    counts = np.zeros(1, np.int64)
    for pairs in read_pairs(paths):
        found = np.bincount((pairs[:, column] >> np.uint64(low_bits)).astype(np.int64), minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    cuts, held = [0], 0
    for group, count in enumerate(counts.tolist()):
        if held and held + count > most:
            cuts.append(group << low_bits)
            held = 0
        held += count
    return np.array(cuts, np.uint64)


def components(paths: Iterable[Path], cuts: np.ndarray, folder: Path) -> Iterator[np.ndarray]:
    """Rows (root, node) of every node that is not the smallest of its component, which is the root: uint64 (N, 2).

    Rows come range by range of their node, in no order within it. paths: files of pairs (smaller, larger); cuts: of
    the larger ids. folder: an empty one for temporary files.
    """
    edges, own, children, roots = (
        Parts(folder, name, cuts) for name in ("edges", "own", "children", "roots")
    )
    for pairs in read_pairs(paths):
        edges.add(pairs, 1)
    for part in reversed(range(len(cuts))):
        nodes, smallest = _components(edges.take(part))
        links = np.stack([smallest, nodes], axis=1)[nodes != smallest]
        inner = links[:, 1] >= cuts[part]
        edges.add(links[~inner], 1)
        # A parent in its child's own range is a root: the smallest of a component that reaches no lower range.
        is_root = links[:, 0] >= cuts[part]
        own.add(links[inner & is_root], 1)
        children.add(links[inner & ~is_root], 0)
    for part in range(len(cuts)):
        known = np.concatenate([roots.take(part), own.take(part)])
        known = known[np.argsort(known[:, 1])]
        if len(known):
            yield known
        for found in children.blocks(part):
            if len(known):
                place = np.minimum(np.searchsorted(known[:, 1], found[:, 0]), len(known) - 1)
                is_known = known[place, 1] == found[:, 0]
                found[is_known, 0] = known[place[is_known], 0]
            roots.add(found, 1)


def _components(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of edges (N, 2), ascending, and the smallest node of each one's component.

    Every root hooks to the smallest root it has an edge to, then all paths are shortened, until nothing changes.
    """
    nodes, places = np.unique(edges, return_inverse=True)
    ends = places.reshape(edges.shape)
    parent = np.arange(len(nodes))
    while True:
        tops = np.sort(parent[ends], axis=1)
        open_ = tops[:, 0] != tops[:, 1]
        if not open_.any():
            return nodes, nodes[parent]
        ends, tops = ends[open_], tops[open_]
        np.minimum.at(parent, tops[:, 1], tops[:, 0])
        while not np.array_equal(shorter := parent[parent], parent):
            parent = shorter


def clear(folder: Path) -> None:
    """An empty folder for temporary files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in os.listdir(folder):
        (folder / name).unlink()
