"""Saving and loading on real ranks: resharding, asynchrony, retention, a full disk, kill -9."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from taixue.pretrain.checkpoint import layout, read_state, read_tensors

from ...dist import run_ranks
from .toy import (
    fail_at_first,
    fail_on_rank_one,
    full,
    load_newest,
    save_forever,
    save_steps,
    save_with_a_best,
)

LAYOUTS: list[dict[str, int]] = [
    {"dp_shard": 1},
    {"dp_shard": 2, "tp": 2},
    {"dp_replicate": 2, "dp_shard": 2},
]


def world(of: dict[str, int]) -> int:
    return torch.Size(of.values()).numel()


@pytest.mark.parametrize("saved", LAYOUTS, ids=str)
def test_any_layout_loads_what_any_layout_saved(saved: dict[str, int], tmp_path: Path) -> None:
    run_ranks(save_steps, world(saved), tmp_path, saved, (7,))
    assert layout.problems(tmp_path / "step-00000007") == []
    for other in LAYOUTS:
        assert set(run_ranks(load_newest, world(other), tmp_path, other)) == {7}
    whole = read_tensors(tmp_path / "step-00000007")
    assert whole.keys() == {key.removeprefix("model.") for key in full(7)}
    assert all(torch.equal(whole[key.removeprefix("model.")], value) for key, value in full(7).items())


def test_each_piece_is_stored_once(tmp_path: Path) -> None:
    run_ranks(save_steps, 4, tmp_path, {"dp_replicate": 2, "dp_shard": 2}, (1,))
    stored = sum(path.stat().st_size for path in (tmp_path / "step-00000001").glob("*.safetensors"))
    assert stored < 4 * sum(value.numel() for value in full(1).values()) + 4 * 1500  # headers


def test_background_saves_hold_the_values_of_their_step_and_the_newest_are_kept(tmp_path: Path) -> None:
    run_ranks(save_steps, 2, tmp_path, {"dp_shard": 2}, (1, 2, 3, 10), True, 2)
    assert [path.name for path in layout.committed(tmp_path)] == ["step-00000010", "step-00000003"]
    assert {path.name for path in tmp_path.iterdir()} == {"step-00000010", "step-00000003"}
    assert run_ranks(load_newest, 1, tmp_path, {"dp_shard": 1}) == [10]
    assert read_state(tmp_path / "step-00000003")["step"] == 3


def test_the_best_goes_when_a_better_one_is_on_the_disk(tmp_path: Path) -> None:
    assert run_ranks(save_with_a_best, 1, tmp_path) == [[["1"], ["1", "2"], ["1", "3"], ["1", "3"], ["5"]]]


def test_no_pickle_is_stored(tmp_path: Path) -> None:
    run_ranks(save_steps, 1, tmp_path, {"dp_shard": 1}, (1,))
    names = {path.name for path in (tmp_path / "step-00000001").iterdir()}
    assert names == {"rank-00000.safetensors", "index.json", "state.json", "manifest.json"}


def test_a_checkpoint_is_never_overwritten(tmp_path: Path) -> None:
    run_ranks(save_steps, 1, tmp_path, {"dp_shard": 1}, (1,))
    before = (tmp_path / "step-00000001" / "manifest.json").read_bytes()
    with pytest.raises(RuntimeError, match="could not be saved"):
        run_ranks(save_steps, 1, tmp_path, {"dp_shard": 1}, (1,))
    assert (tmp_path / "step-00000001" / "manifest.json").read_bytes() == before


def test_a_full_disk_loses_nothing_but_that_save(tmp_path: Path) -> None:
    for failure, left, later in run_ranks(fail_on_rank_one, 2, tmp_path):
        assert "could not be saved" in failure
        assert "rank 1: [Errno 28] No space left" in failure
        assert left == ["step-00000001"]
        assert later == ["step-00000001", "step-00000003"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_first_save_that_fails_ends_the_run(asynchronous: bool, tmp_path: Path) -> None:
    for message in run_ranks(fail_at_first, 2, tmp_path, asynchronous):
        assert "rank 1: [Errno 28] No space left" in message
        assert "No checkpoint of this start could be saved" in message


def test_an_empty_folder_has_nothing_to_load(tmp_path: Path) -> None:
    assert run_ranks(load_newest, 2, tmp_path / "not-there", {"dp_shard": 2}) == [None, None]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_kill_9_during_saves_never_shows_half_a_checkpoint(asynchronous: bool, tmp_path: Path) -> None:
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        killer = threading.Thread(target=_kill_all_when_saving, args=(folder, 0.02 * (attempt + 1)))
        killer.start()
        with pytest.raises((RuntimeError, ConnectionError)):
            run_ranks(save_forever, 2, folder, {"dp_shard": 2}, asynchronous, deadline=60)
        killer.join()
        seen = layout.committed(folder)
        assert seen
        assert all(layout.problems(path) == [] for path in seen)
        step = int(seen[0].name.removeprefix("step-"))
        assert run_ranks(load_newest, 1, folder, {"dp_shard": 1}) == [step]


def _kill_all_when_saving(folder: Path, delay: float) -> None:
    while len(layout.committed(folder)) < 1:
        time.sleep(0.005)
    time.sleep(delay)
    for path in folder.glob("pid-*"):
        os.kill(int(path.read_text()), signal.SIGKILL)
