"""The bench runs; how fast things are is no test."""

from pathlib import Path

import pytest

from taixue import UserError
from taixue.data_tools import bench

from .texts import make_texts


def test_every_step_is_measured(t5_folder: Path) -> None:
    documents = bench.recombine(make_texts(40), 0.05)
    assert bench.recombine(make_texts(40), 0.05) == documents
    steps = bench.native_steps(t5_folder / "spiece.model", bench.frequent_words(documents, 50))
    speeds = bench.measure(documents, steps, rounds=1)
    assert [speed.step for speed in speeds] == list(steps)
    assert all(speed.best >= speed.middle > 0 for speed in speeds)
    assert "unigram ids" in bench.table(speeds, documents)


def test_sample_text_by_default() -> None:
    assert "text statistics" in bench.bench(megabytes=0.02, rounds=1)


def test_mistakes(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(UserError, match="0 documents"):
        bench.bench([str(tmp_path / "empty.txt")])
    with pytest.raises(UserError, match=r"no spiece\.model"):
        bench.bench(tokenizer=tmp_path)
    with pytest.raises(UserError, match="rounds: 0"):
        bench.bench(rounds=0)
