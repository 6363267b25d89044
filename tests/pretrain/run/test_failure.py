"""What an error says in one line, with what was saved and what to do; real errors of this machine."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from taixue import UserError
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.run.failure import ERROR_FILE, Failure, failure_of, leave_word


def caught(function: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as found:
        function()
    return found.value


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    """One with a checkpoint of step 20."""
    (tmp_path / "run/checkpoints/step-00000020").mkdir(parents=True)
    return RunConfig.model_validate({"runs": str(tmp_path), "batch": {"global_size": 8, "micro_size": 8}})


def _save() -> None:
    np.empty(2**58)


@pytest.mark.parametrize(
    ("fails", "says"),
    [
        (lambda: torch.empty(2**50), "you tried to allocate 4503599627370496 bytes"),
        (_save, "while saving: out of memory: Unable to allocate 2"),
        (lambda: bytearray(2**62), "out of memory"),
    ],
    ids=["torch", "numpy", "python"],
)
def test_memory(fails: Callable[[], object], says: str, run: RunConfig) -> None:
    error = caught(fails)
    error.add_note("after step 20 of 100")
    failure = failure_of(error, run, 1, 1)
    assert failure.kind == "memory"
    assert says in failure.message
    assert "after step 20 of 100" in failure.message
    assert failure.lines()[1:] == [
        f"saved: step 20, in {run.runs}/run/checkpoints/step-00000020; the same command goes on from there",
        "set batch.micro_size to 4 (now 8), or compute.activation_checkpointing to selective (now none)",
        f"logs: {run.runs}/run/logs",
    ]


def test_a_lost_peer_is_no_cause(run: RunConfig) -> None:
    said = "[/src/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:5. This is typically caused"
    failure = failure_of(RuntimeError(said), run, 0, 2)
    assert failure.kind == "peer"
    assert failure.message.endswith("lost another rank (Connection closed by peer [127.0.0.1]:5)")


def test_any_other_error_has_its_line(
    run: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = caught(lambda: {}["missing"])
    failure = failure_of(error, run, 3, 4)
    assert failure.kind == "other"
    assert "KeyError: 'missing' (run/test_failure.py:" in failure.message
    assert len(failure.lines()) <= 6
    monkeypatch.setenv(ERROR_FILE, str(tmp_path / "error.json"))
    leave_word(failure, error, run, 3)
    word = json.loads((tmp_path / "error.json").read_text())
    assert isinstance(word.pop("timestamp"), int)
    assert Failure(**word) == failure
    assert "Traceback" in (tmp_path / "run/logs/rank-3.error").read_text()


def test_a_mistake_keeps_its_words(run: RunConfig, tmp_path: Path) -> None:
    failure = failure_of(UserError("seed: -1, at least 0"), None, 0, 1)
    assert failure.lines() == ["seed: -1, at least 0"]
    leave_word(failure, UserError(""), run, 0)
    assert not (tmp_path / "run/logs").exists()
