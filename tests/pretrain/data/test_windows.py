"""Windows equal slices of the concatenation, wherever the shards end."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taixue.pretrain.data.windows import Windows


@given(sizes=st.lists(st.integers(0, 30), max_size=8), length=st.integers(1, 40), data=st.data())
def test_windows_are_slices_of_the_concatenation(sizes: list[int], length: int, data: st.DataObject) -> None:
    total = sum(sizes)
    tokens = np.arange(total, dtype=np.uint16)
    windows = Windows(np.split(tokens, np.cumsum(sizes)), length)
    assert (len(windows), windows.tokens) == (total // length, total)
    if not len(windows):
        return
    numbers = np.array(data.draw(st.lists(st.integers(0, len(windows) - 1), max_size=6)), np.int64)
    out = np.zeros((len(numbers), length), np.int32)
    windows.gather(numbers, out)
    assert out.tolist() == [tokens[n * length : (n + 1) * length].tolist() for n in numbers.tolist()]
