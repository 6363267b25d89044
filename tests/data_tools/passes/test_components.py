"""Components over ranges on disk equal a plain union-find, however the ids are cut."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue.data_tools.passes import components


def _plain(pairs: list[tuple[int, int]]) -> dict[int, int]:
    root: dict[int, int] = {}

    def find(node: int) -> int:
        root.setdefault(node, node)
        while root[node] != node:
            node = root[node]
        return node

    for left, right in pairs:
        low, high = sorted((find(left), find(right)))
        root[high] = low
    return {node: find(node) for node in root}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(lambda pair: pair[0] != pair[1]), max_size=80
    ),
    st.integers(1, 90),
    st.integers(0, 4),
)
def test_components_equal_union_find(pairs: list[tuple[int, int]], most: int, low_bits: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "pairs"
        path.write_bytes(np.array([sorted(pair) for pair in pairs], np.uint64).tobytes())
        cuts = components.cut_ids([path], 1, low_bits, most)
        work = folder / "work"
        components.clear(work)
        found: dict[int, int] = {}
        for rows in components.components([path], cuts, work):
            for root, node in rows.tolist():
                assert node not in found
                found[node] = root
        assert found == {node: root for node, root in _plain(pairs).items() if node != root}
        assert not list(work.iterdir())


def test_a_long_path_in_many_ranges(tmp_path: Path) -> None:
    """The worst order: every node joined to the next one."""
    path = tmp_path / "pairs"
    nodes = np.arange(5000, dtype=np.uint64)
    path.write_bytes(np.stack([nodes[:-1], nodes[1:]], axis=1).tobytes())
    cuts = components.cut_ids([path], 1, 4, 100)
    assert len(cuts) > 40
    components.clear(tmp_path / "work")
    rows = np.concatenate(list(components.components([path], cuts, tmp_path / "work")))
    assert sorted(rows[:, 1].tolist()) == list(range(1, 5000))
    assert not rows[:, 0].any()
