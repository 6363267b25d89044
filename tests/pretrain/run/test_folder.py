"""The run folder is one start's at a time, and the same on every rank."""

import fcntl
from pathlib import Path
from unittest import mock

import pytest
import torch.distributed as dist

from taixue import UserError
from taixue.parallel.agree import agreed
from taixue.pretrain.run import folder as run_folder

from ...dist import run_ranks
from .runs import folder, go, settings


def test_a_second_start_is_refused_on_all_ranks(made: dict[str, str], tmp_path: Path) -> None:
    values = settings(tmp_path, made, steps=2, eval_every=0, schedule={"warmup_steps": 1})
    folder(values).mkdir(parents=True)
    with (folder(values) / "LOCK").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("process 12 on node7, start 0\n")
        file.flush()
        for answer in run_ranks(go, 2, values):
            assert "is in use by process 12 on node7: " in answer
    assert {path.name for path in folder(values).iterdir()} == {"LOCK"}
    assert run_ranks(go, 2, values) == ["done", "done"]


def test_a_folder_that_nodes_do_not_share_is_refused_on_all_ranks(tmp_path: Path) -> None:
    for number in range(3):  # one of them holds what an earlier start left
        (tmp_path / str(number)).mkdir()
    (tmp_path / "1" / "LOCK").write_text("process 1 on node1, start 0\n")
    for answer in run_ranks(_hold, 3, tmp_path, "0", "1", "2"):
        assert "of rank 0 is not what rank 1 (on " in answer
        assert ", 2 (on " in answer
        assert "all nodes share" in answer
    assert run_ranks(_hold, 3, tmp_path, "0", "0", "0") == ["held"] * 3


def _hold(parent: Path, *names: str) -> str:
    with mock.patch.object(run_folder, "SIGHT_SECONDS", 0.3):
        try:
            with run_folder.held(parent / names[dist.get_rank()], dist.new_group(backend="gloo")):
                return "held"
        except UserError as error:
            return str(error)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (UserError, ["OfAllRanks: no"] * 2),
        (OSError, ["OfAllRanks: rank 1 on NODE: no"] * 2),
        (KeyError, ["OfAllRanks: rank 1 on NODE: KeyError: 'no'", "KeyError: 'no'"]),
    ],
)
def test_an_error_of_one_rank_becomes_the_error_of_all(kind: type[Exception], expected: list[str]) -> None:
    assert run_ranks(_fail_on_rank_one, 2, kind) == expected


def _fail_on_rank_one(kind: type[Exception]) -> str:
    def function() -> None:
        if dist.get_rank() == 1:
            raise kind("no")

    with mock.patch("platform.node", return_value="NODE"), pytest.raises(Exception) as error:
        agreed(dist.new_group(backend="gloo"), function)
    return f"{error.type.__name__}: {error.value}"
