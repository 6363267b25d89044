"""Files between the passes that are not as they were written are said to be damaged, and nothing is read past them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from taixue import UserError
from taixue.data_tools.passes import components, texts
from taixue.data_tools.passes.runs import RunFile, RunWriter

COLUMNS = {"hash": "<u8", "document": "<u4"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[:-8],
        lambda raw: raw[8:],
        lambda raw: raw + bytes(8),
        lambda raw: raw[:-8] + (1 << 62).to_bytes(8, "little"),
        lambda raw: raw[:-16] + (1 << 60).to_bytes(8, "little") + raw[-8:],
    ],
)
def test_runs(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.rows"
    writer = RunWriter(path, COLUMNS)
    writer.add({"hash": np.arange(3, dtype=np.uint64), "document": np.arange(3, dtype=np.uint32)})
    writer.finish()
    assert RunFile(path, COLUMNS).count() == 3
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"a\.rows: damaged: \d+ bytes"):
        RunFile(path, COLUMNS)


@pytest.mark.parametrize("text", [b"abcde", b"abcdefg", b"abc\xffef"])
def test_texts(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.text").write_bytes(text)
    (tmp_path / "a.length").write_bytes(np.array([2, 4], "<u4").tobytes())
    with pytest.raises(UserError, match=r"a\.text: damaged"):
        list(texts.read_texts(tmp_path / "a.text", tmp_path / "a.length"))


def test_half_a_pair(tmp_path: Path) -> None:
    (tmp_path / "a.pairs").write_bytes(bytes(24))
    with pytest.raises(UserError, match="24 bytes are no pairs of 16"):
        list(components.read_pairs([tmp_path / "a.pairs"]))
