"""Ranks cut a step into contiguous blocks; the thread stops, and its errors are seen."""

import threading
from itertools import islice

import numpy as np
import pytest

from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.data import Loader, TrainingData, open_data
from taixue.pretrain.objectives import build_objective


@pytest.fixture
def data(run: RunConfig) -> TrainingData:
    tokenizer = load_tokenizer(run.data.tokenizer)
    return open_data(run, tokenizer, build_objective(run.objective, tokenizer))


@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_ranks_together_are_the_step(data: TrainingData, world: int, prefetch: int) -> None:
    blocks = []
    for rank in range(world):
        with Loader(data, 8, rank, world, first_step=5, prefetch=prefetch) as loader:
            blocks.append(list(islice(loader, 3)))
    for index, step in enumerate((5, 6, 7)):
        assert all(block[index][0] == step for block in blocks)
        together = np.concatenate([block[index][1]["labels"] for block in blocks])
        np.testing.assert_array_equal(together, data.batch(range(8 * step, 8 * step + 8))["labels"])


def test_closing_stops_the_thread(data: TrainingData) -> None:
    before = threading.active_count()
    loader = Loader(data, 8, 0, 1, prefetch=2)
    next(loader)
    loader.close()
    loader.close()
    assert threading.active_count() == before
    with pytest.raises(StopIteration):
        next(loader)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_errors_reach_the_caller(data: TrainingData, prefetch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    working = data.batch

    def failing(samples: range) -> dict[str, np.ndarray]:
        if samples[0] >= 16:
            raise OSError("planted: the disk is gone")
        return working(samples)

    monkeypatch.setattr(data, "batch", failing)
    loader = Loader(data, 8, 0, 1, prefetch=prefetch)
    assert [step for step, _ in islice(loader, 2)] == [0, 1]
    with pytest.raises(OSError, match="planted"):
        next(loader)
    loader.close()


def test_a_batch_that_cannot_be_split(data: TrainingData) -> None:
    with pytest.raises(ValueError, match="global batch 8 cannot be split for rank 0 of 3"):
        Loader(data, 8, 0, 3)
