"""The GPU benches run dry on a CPU: every rival of every case works, results agree, files are written."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from taixue import UserError
from taixue.kernels import dispatch
from taixue.launch.cli import main
from taixue.pretrain.bench import training
from taixue.pretrain.bench.clock import measure
from taixue.pretrain.bench.kernels import bench_kernels
from taixue.pretrain.bench.rivals import RIVALS

from ...kernels.machine import needs_interpreter


@needs_interpreter
def test_kernels_dry_run_measures_every_variant(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    with dispatch.using("interpret"):
        report = bench_kernels(tmp_path, dry_run=True)
    missing = [(row.op, row.variant, row.note) for row in report.rows if row.timing is None]
    assert {variant for _, variant, _ in missing} <= {"Liger"}, missing  # not installed here
    ours = [row for row in report.rows if row.variant == "ours"]
    assert len(ours) == 9
    assert all(row.error < 2e-2 for row in report.rows if row.error is not None)
    assert sum(row.error is not None for row in ours) == 5
    saved = json.loads((tmp_path / "kernels.json").read_text())
    assert len(saved["rows"]) == len(report.rows)
    assert ElementTree.parse(tmp_path / "kernels.svg").getroot().tag.endswith("svg")


def test_time_that_is_up_leaves_variants_out(tmp_path: Path) -> None:
    report = bench_kernels(tmp_path, dry_run=True, minutes=-1, ops=["add, RMSNorm"])
    assert {row.note for row in report.rows} == {"left out: time is up"}
    assert {row.op for row in report.rows} == {"add, RMSNorm"}


def test_train_dry_run_agrees_with_hugging_face(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "train", "--dry-run", "--out", str(tmp_path)]) == 0
    assert "hf sdpa + compile" in capsys.readouterr().out
    rows = json.loads((tmp_path / "train.json").read_text())
    assert [row["rival"] for row in rows] == list(RIVALS)
    noted = {row["rival"]: row["note"] for row in rows if row["note"]}
    assert noted == {"nanoT5 + compile": "ImportError: name its t5_model.py with --nanot5"}
    assert all(row["agrees"] for row in rows if row["rival"] not in noted), rows
    assert ElementTree.parse(tmp_path / "train.svg").getroot().tag.endswith("svg")


def test_heads_of_a_bert_agree(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--model.vocab_size", "512", "--batch.global_size", "4", "--batch.micro_size", "2"]
    exact = ["--compute.float64", "true", "--objective.input_length", "32"]
    assert main(["bench", "head", "run/bert-tiny-cpu", "--rounds", "2", *small, *exact]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[-2:]]
    assert [row[0] for row in rows] == ["32", str(round(0.15 * 29))]
    assert rows[0][-1] == rows[1][-1]  # losses after three steps, 9 digits
    assert main(["bench", "head", "run/t5-tiny-cpu"]) == 2
    assert "span-corruption: its head sees all positions" in capsys.readouterr().err


def test_a_rival_in_its_own_process(tmp_path: Path) -> None:
    case = training.tiny_case()
    outcome = training._isolated("taixue", case, 120)
    assert len(outcome.losses) == case.warmup + case.steps
    with pytest.raises(RuntimeError, match="KeyError"):
        training._isolated("nobody", case, 120)
    with pytest.raises(RuntimeError, match=r"not done in 0 s"):
        training._isolated("taixue", case, 0.01)


def test_flops_follow_the_formula() -> None:
    """T5-large 512/114: 2.37 GFLOP per token, as the formula in the module gives by hand."""
    case = training.preset_case(*training.CASES[0])
    per_token = case.flops / case.samples / (512 + 114)
    assert per_token == pytest.approx(2.342e9, rel=0.02)
    assert replace(case, samples=128).flops == 2 * case.flops


def test_measure_counts_calls() -> None:
    calls: list[int] = []
    timing = measure(lambda: calls.append(1), torch.device("cpu"), 0.0)
    assert timing.calls == 3
    assert len(calls) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["kernels", "--minutes", "0"], "--minutes 0; more than 0 is needed"),
        (["train", "--dry-run", "--rivals", "nobody"], "--rivals: nobody; legal: taixue, hf sdpa"),
    ],
)
def test_mistakes(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_no_gpu_is_said() -> None:
    from taixue.launch.commands import bench

    with pytest.raises(UserError, match="no CUDA device here: --dry-run"):
        bench.kernels([])
