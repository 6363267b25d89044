"""A user's script of at most 60 lines with kinds of its own: every command knows them, in every process it starts."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs/examples/my_run.py"
TAIXUE = "-m", "taixue.launch.cli"
CORPUS = """
base: corpus/demo
shard_bytes: 100000
workers: 2
filters: {rules: [{name: no questions, measure: questions, maximum: 0}]}
"""
RUN = """
base: run/t5-tiny-demo
name: own
steps: 4
eval_every: 0
model:
  {family: calm-t5, vocab_size: 3200, d_model: 32, d_ff: 64, num_heads: 4, num_encoder_layers: 2, num_decoder_layers: 2}
objective: {kind: long-spans, input_length: 32}
batch: {global_size: 4, micro_size: 2}
optimizer: {name: lion, weight_decay: 0.01}
schedule: {name: restarts, warmup_steps: 1, period: 2}
checkpoint: {every: 2}
logging: {every: 1, sinks: [{kind: table, file: own.tsv}]}
"""


def run(home: Path, *words: str, status: int = 0) -> str:
    """What the command says, on stdout and stderr."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
    done = subprocess.run(
        [sys.executable, *words], cwd=home, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def home(demo: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's tokenizer; a corpus and a finished run of the script."""
    folder = tmp_path_factory.mktemp("own")
    demo(folder)
    shutil.rmtree(folder / "runs/demo/corpus")
    (folder / "corpus.yaml").write_text(CORPUS)
    (folder / "run.yaml").write_text(RUN)
    run(folder, str(SCRIPT), "corpus", "build", "corpus.yaml")
    run(folder, str(SCRIPT), "train", "run.yaml")
    return folder


def test_the_script_is_short() -> None:
    assert len(SCRIPT.read_text().splitlines()) <= 60


def test_help_needs_no_torch_and_shows_own_keys(home: Path) -> None:
    said = run(home, "-X", "importtime", str(SCRIPT), "train", "run.yaml", "--help")
    assert "--schedule.period INT" in said
    assert "| torch\n" not in said


def test_workers_apply_the_measure(home: Path) -> None:
    """Several shards, so that worker processes clean them; no document of the corpus has a question mark."""
    corpus = home / "runs/demo/corpus"
    assert len(list(corpus.glob("train-sample-*.bin"))) > 1
    said = run(home, TAIXUE[0], TAIXUE[1], "corpus", "report", str(corpus), "--out", "report")
    facts = json.loads((home / "report/report.json").read_text())
    assert "no questions" in json.dumps(facts, ensure_ascii=False), said


def test_the_version_of_a_measure_is_part_of_the_corpus(home: Path, tmp_path: Path) -> None:
    corpus = shutil.copytree(home / "runs/demo/corpus", tmp_path / "corpus")
    changed = tmp_path / "changed.py"
    changed.write_text(SCRIPT.read_text().replace('"questions", "1"', '"questions", "2"'))
    words = "corpus", "build", "corpus.yaml", "--output", str(corpus)
    shards = len(list(corpus.glob("train-sample-*.bin")))
    assert f"{shards} finished before" in run(home, str(SCRIPT), *words)
    assert "0 finished before" in run(home, str(changed), *words)


def test_two_ranks_train_and_resume(home: Path) -> None:
    folder = home / "runs/demo/own"
    said = run(home, str(SCRIPT), "train", "run.yaml", "--steps", "6")
    assert "resuming run own at step 4 of 6" in said
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if "loss" in record]
    assert [record["step"] for record in records] == list(range(1, 7))
    rows = [line.split("\t") for line in (folder / "own.tsv").read_text().splitlines()]
    assert [(int(step), float(loss)) for step, loss in rows] == [(r["step"], r["loss"]) for r in records]
    rates = [record["lr"] for record in records]
    assert rates == pytest.approx([1e-4, 1e-4, 0.55e-4, 1e-4, 0.55e-4, 1e-4])
    assert yaml.safe_load((folder / "config.yaml").read_text())["optimizer"]["name"] == "lion"


def test_verify(home: Path) -> None:
    said = run(home, str(SCRIPT), "verify", "run.yaml", "--layouts", "tp2:sp")
    assert "equal" in said


def test_export_and_its_refusal_elsewhere(home: Path) -> None:
    run(home, str(SCRIPT), "export", "runs/demo/own", "hf")
    assert json.loads((home / "hf/config.json").read_text())["model_type"] == "t5"
    assert "| objective | long-spans |" in (home / "hf/README.md").read_text()
    said = run(home, *TAIXUE, "export", "runs/demo/own", "elsewhere", status=2)
    assert "its model has the family 'calm-t5', which is registered nowhere here" in said
    said = run(home, *TAIXUE, "train", "run.yaml", status=2)
    assert "optimizer: name is 'lion'; legal: 'adamw', 'adamw-rms', 'adafactor'" in said
    assert "no sink is registered" in said


def test_main_in_a_worker_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "careless.py"
    script.write_text(
        "import multiprocessing, os, sys, taixue\n"
        "if multiprocessing.current_process().name != 'MainProcess':\n    taixue.main()\n"
        "if __name__ == '__main__':\n"
        "    worker = multiprocessing.get_context('spawn').Process(target=os.getpid)\n"
        "    worker.start()\n    worker.join()\n    sys.exit(worker.exitcode)\n"
    )
    assert "call taixue.main() below" in run(tmp_path, str(script), status=1)
