"""What cannot go on stops with one message that says what, where, and what to do; nothing saved is lost."""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from taixue.pretrain import train

from ...dist import run_ranks
from .runs import T5, folder, go, metrics, settings


def command(config: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-m", "taixue.pretrain.train", str(config)]
    return subprocess.run(program, capture_output=True, text=True, timeout=120, env=environment, check=False)


@pytest.fixture
def config(made: dict[str, str], tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(settings(tmp_path, made, steps=3, eval_every=0)))
    return path


def test_divergence_stops_with_step_and_samples_and_saves_nothing(
    made: dict[str, str], tmp_path: Path
) -> None:
    values = settings(tmp_path, made)
    for message in run_ranks(go, 2, values, "nan@3"):
        assert "step 3 (samples 16 to 23)" in message
        assert "gradient norm nan" in message
        assert "It is the gradient (all losses are finite)" in message
        assert "optimizer.lr (now 0.02)" in message
    saved = [path.name for path in (folder(values) / "checkpoints").iterdir()]
    assert saved == ["step-00000002"]
    assert [row["step"] for row in metrics(values) if "loss" in row] == [1, 2]


def test_a_loss_that_one_rank_alone_has_is_not_blamed_on_the_rate(
    made: dict[str, str], tmp_path: Path
) -> None:
    """Two micro-batches a step: the sixth is of step 3, whose samples 20 to 23 rank 1 learns from."""
    for message in run_ranks(go, 2, settings(tmp_path, made), "loss@6"):
        assert "step 3 (samples 16 to 23): loss nan" in message
        assert "Only 1 of 2 data ranks found such a loss: rank 1 on" in message
        assert "data rank 1, samples 20 to 23" in message
        assert "optimizer.lr" not in message


def test_fp16_overflow_halves_the_scale_and_goes_on(made: dict[str, str], tmp_path: Path) -> None:
    compute = {"device": "cpu", "precision": "fp16", "allow_fp16": True}
    clean = settings(tmp_path / "clean", made, compute=compute)
    spoiled = settings(tmp_path / "spoiled", made, compute=compute)
    assert run_ranks(go, 1, clean) == ["done"]
    assert run_ranks(go, 1, spoiled, "nan@3") == ["done"]
    rows = [row for row in metrics(spoiled) if "loss" in row]
    assert [row["skipped"] for row in rows] == [0, 0, 1, 0, 0, 0]
    assert [row["loss_scale"] for row in rows] == [65536] * 3 + [32768] * 3
    assert all(row["loss_scale"] == 65536 for row in metrics(clean) if "loss" in row)
    # the loss scale is no part of what is learned: the same losses until the skipped update
    assert [row["loss"] for row in rows[:3]] == [row["loss"] for row in metrics(clean) if "loss" in row][:3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 2}, "seed = 1, the configuration says 2"),
        ({"batch": {"global_size": 4, "micro_size": 2}}, "batch.global_size = 8, the configuration says 4"),
        ({"objective": {"kind": "span-corruption", "input_length": 32}}, "objective.input_length = 24"),
    ],
    ids=str,
)
def test_a_run_that_cannot_continue_its_checkpoint_says_why(
    changes: dict[str, Any], message: str, made: dict[str, str], tmp_path: Path
) -> None:
    values = settings(tmp_path, made)
    assert run_ranks(go, 1, values, "term@2") == ["done"]
    (answer,) = run_ranks(go, 1, values | changes)
    assert message in answer
    assert "step-00000002" in answer
    assert "another name" in answer


def test_a_finished_run_with_another_model_is_not_called_finished(
    made: dict[str, str], tmp_path: Path
) -> None:
    values = settings(tmp_path, made, steps=2, eval_every=0, schedule={"warmup_steps": 1})
    assert run_ranks(go, 1, values) == ["done"]
    (answer,) = run_ranks(go, 1, values | {"model": T5 | {"d_ff": 48}})
    assert "model.d_ff = 24, the configuration says 48" in answer


def test_the_command_trains_and_a_second_time_does_nothing(config: Path) -> None:
    first = command(config)
    assert first.returncode == 0, first.stderr
    assert "step 3/3  loss" in first.stderr
    second = command(config)
    assert second.returncode == 0
    assert "is finished" in second.stderr
    assert "loss" not in second.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--runs", "/proc/nowhere"), "runs: the run folder /proc/nowhere/run cannot be written"),
        (("--modle.d_model", "8"), "unknown key"),
        (("--model.num_heads", "five"), "model.num_heads"),
        (("--batch.global_size", "7"), "batch.global_size: 7 is not a multiple"),
        (("--data.tokenizer", "nowhere"), "nowhere"),
        (("--model.vocab_size", "100"), "vocab_size"),
        (("--init_from", "nowhere"), "nowhere"),
    ],
    ids=str,
)
def test_mistakes_on_the_command_line(
    words: tuple[str, ...], message: str, config: Path, capsys: pytest.CaptureFixture[str], quiet_log: None
) -> None:
    assert train.command([str(config), *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) <= 6


@pytest.fixture
def quiet_log() -> Iterator[None]:
    """Undo what a run does to the log."""
    log = logging.getLogger("taixue")
    before = log.handlers, log.level, log.propagate
    yield
    log.handlers, log.level, log.propagate = before


def test_only_damaged_checkpoints_do_not_start_the_run_over(made: dict[str, str], tmp_path: Path) -> None:
    values = settings(tmp_path, made)
    assert run_ranks(go, 1, values, "term@2") == ["done"]
    before = metrics(values)
    (folder(values) / "checkpoints" / "step-00000002" / "state.json").write_text("{}")
    for _ in range(2):
        (answer,) = run_ranks(go, 1, values)
        assert "only damaged ones (step-00000002.corrupt)" in answer
    assert metrics(values) == before


def test_what_only_rank_0_meets_ends_all_ranks(made: dict[str, str], tmp_path: Path) -> None:
    values = settings(tmp_path, made)
    (folder(values) / "config.yaml").mkdir(parents=True)
    answers = run_ranks(go, 2, values)
    assert len(set(answers)) == 1
    assert "rank 0 on" in answers[0]
    assert "Is a directory" in answers[0]


def test_metrics_that_cannot_be_written_end_no_run(made: dict[str, str], tmp_path: Path) -> None:
    values = settings(tmp_path, made, steps=2)
    (folder(values) / "metrics.jsonl").mkdir(parents=True)
    assert run_ranks(go, 2, values) == ["done", "done"]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_one_flipped_bit_in_a_shard_is_found_before_training(
    split: str, made: dict[str, str], tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(made["t5-corpus"], corpus)
    shard = next(corpus.glob(f"{split}-*.bin"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    values = settings(tmp_path, made | {"t5-corpus": str(corpus)})
    for message in run_ranks(go, 2, values):
        assert f"{shard}: its bytes have changed" in message
        assert "run `taixue corpus build`" in message
    assert not (folder(values) / "checkpoints").exists()
