"""Every way to damage a stored checkpoint is found before use, and the one before it is taken."""

import errno
import logging
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.pretrain.checkpoint import layout

from ...dist import run_ranks
from .toy import load_newest, newest_unreadable_on_rank_one, save_steps


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    run_ranks(save_steps, 2, folder, {"dp_shard": 2}, (1, 2))
    return folder


@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_flipped_bit_or_cut_is_found(saved: Path, data: st.DataObject) -> None:
    checkpoint = saved / "step-00000002"
    path = data.draw(st.sampled_from(sorted(checkpoint.iterdir())))
    original = path.read_bytes()
    place = data.draw(st.integers(0, len(original) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "extend", "zero"]))
    damaged = bytearray(original)
    match kind:
        case "flip":
            damaged[place] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del damaged[place:]
        case "extend":
            damaged += b"\0"
        case "zero":
            damaged[place : place + 64] = bytes(len(damaged[place : place + 64]))
    try:
        path.write_bytes(damaged)
        assert bool(layout.problems(checkpoint)) == (bytes(damaged) != original)
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize("name", ["rank-00001.safetensors", "index.json", "state.json", "manifest.json"])
def test_a_missing_file_is_found(saved: Path, name: str, tmp_path: Path) -> None:
    copy = shutil.copytree(saved / "step-00000002", tmp_path / "step-00000002")
    (copy / name).unlink()
    assert name in layout.problems(copy)[0]


def test_exchanged_files_and_folders_are_found(saved: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(saved / "step-00000002", tmp_path / "step-00000002")
    first, second = copy / "rank-00000.safetensors", copy / "rank-00001.safetensors"
    first.rename(tmp_path / "held")
    second.rename(first)
    (tmp_path / "held").rename(second)
    assert len(layout.problems(copy)) == 2
    shutil.copytree(saved / "step-00000001", tmp_path / "step-00000009")
    assert "belongs to step 1" in layout.problems(tmp_path / "step-00000009")[0]


def test_damage_is_set_aside_and_the_one_before_is_loaded(saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved, tmp_path / "checkpoints")
    path = folder / "step-00000002" / "rank-00001.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert run_ranks(load_newest, 2, folder, {"dp_shard": 2}) == [1, 1]
    assert {path.name for path in folder.iterdir()} == {"step-00000001", "step-00000002.corrupt"}
    run_ranks(save_steps, 1, folder, {"dp_shard": 1}, (2,))
    assert run_ranks(load_newest, 1, folder, {"dp_shard": 1}) == [2]


def test_the_messages_say_what_and_which(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from taixue.pretrain.checkpoint import loading

    folder = shutil.copytree(saved, tmp_path / "checkpoints")
    (folder / "step-00000002" / "index.json").write_text("{}")
    with caplog.at_level(logging.WARNING, "taixue"):
        assert _alone(loading.newest, folder, monkeypatch) == folder / "step-00000001"
    assert "index.json: 2 bytes" in caplog.text
    assert "step-00000002.corrupt" in caplog.text
    assert "falling back" in caplog.text
    (folder / "step-00000001" / "manifest.json").unlink()
    for _ in range(2):  # the second time every checkpoint has been set aside already
        with pytest.raises(UserError, match="no intact checkpoint is left") as error:
            _alone(loading.newest, folder, monkeypatch)
        assert "(step-00000001.corrupt, step-00000002.corrupt)" in str(error.value)
        assert "give the run another name or remove" in str(error.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EIO])
def test_a_rank_that_cannot_read_says_nothing_about_the_checkpoint(
    number: int, saved: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(saved, tmp_path / "checkpoints")
    for message in run_ranks(newest_unreadable_on_rank_one, 2, folder, number):
        assert "step-00000002 cannot be read on" in message
        assert os.strerror(number) in message
    assert {path.name for path in folder.iterdir()} == {"step-00000001", "step-00000002"}


def _alone(function, folder: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    import torch.distributed as dist

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        return function(folder, dist.group.WORLD)
    finally:
        dist.destroy_process_group()


def test_a_newer_format_is_refused_not_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_ranks(save_steps, 1, tmp_path, {"dp_shard": 1}, (1,))
    monkeypatch.setattr(layout, "VERSION", 0)
    with pytest.raises(UserError, match="format 1, this Taixue reads up to 0: update Taixue"):
        layout.problems(tmp_path / "step-00000001")
