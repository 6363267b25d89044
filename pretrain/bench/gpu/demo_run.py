"""The step that does what a user does: train, be stopped by a signal, go on, evaluate, export, load elsewhere."""

import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson

from .journal import Bench

PROGRAM = "taixue.launch.cli"
POLL_SECONDS = 0.005


def demo(bench: Bench) -> None:
    """Losses of a run that was stopped and went on equal those of one left alone; transformers loads its export."""
    shutil.rmtree(bench.work / "demo", ignore_errors=True)  # of an earlier try
    folder = _corpus(bench)
    steps, stop_at = (24, 3) if bench.dry else (40, 20)
    words = _words(bench, folder, steps)
    calm, stopped = bench.work / "demo/calm", bench.work / "demo/stopped"

    begin = time.monotonic()
    if (status := run(bench, ["train", *words, "--name", calm.name])) != 0:
        raise RuntimeError(f"a run left alone ends with status {status}")
    bench.figure("undisturbed run", round(time.monotonic() - begin, 1), "s")

    def is_time() -> bool:
        return any(step >= stop_at for step, _ in _losses(stopped))

    status = run(bench, ["train", *words, "--name", stopped.name], signal_when=is_time)
    done = max((step for step, _ in _losses(stopped)), default=0)
    bench.holds(
        f"SIGTERM at step {stop_at}: saved, left with 0", status == 0 and done < steps, f"after step {done}"
    )
    bench.holds(
        "the same command goes on to the end", run(bench, ["train", *words, "--name", stopped.name]) == 0
    )
    expected, found = dict(_losses(calm)), dict(_losses(stopped))
    bench.holds("losses equal, bit for bit", bool(found) and found == expected, f"{len(found)} losses")
    bench.holds("evaluations equal", _evaluations(calm) == _evaluations(stopped) != [])
    bench.holds("export verified", run(bench, ["export", str(stopped), str(bench.work / "demo/hf")]) == 0)
    _load(bench, bench.work / "demo/hf")


def run(bench: Bench, words: list[str], signal_when: Callable[[], bool] | None = None) -> int | None:
    """`taixue WORDS` as a process of its own; its exit status. It is sent SIGTERM as soon as signal_when() is true."""
    if bench.fresh:
        process = subprocess.Popen([sys.executable, "-m", PROGRAM, *words])
        pid, poll = process.pid, process.poll
    else:
        child = get_context("fork").Process(target=_as_main, args=(words,))
        child.start()
        assert child.pid is not None
        pid, poll = child.pid, lambda: child.exitcode
    while (status := poll()) is None:
        if signal_when is not None and signal_when():
            os.kill(pid, signal.SIGTERM)
            print(f"SIGTERM to process {pid}", flush=True)
            signal_when = None
        time.sleep(POLL_SECONDS)
    return status


def _as_main(words: list[str]) -> None:
    """`python -m taixue.launch.cli WORDS` in an interpreter that has imported torch already."""
    sys.argv = [PROGRAM, *words]
    runpy.run_module(PROGRAM, run_name="__main__")


def _corpus(bench: Bench) -> Path:
    """The demo's tokenizer and corpus: those that were brought along, or made here as `make demo` makes them."""
    if not (bench.demo / "corpus/corpus.json").exists():
        tokenizer, corpus = str(bench.demo / "tokenizer"), str(bench.demo / "corpus")
        run(bench, ["corpus", "sample", "runs/demo/text"])
        run(bench, ["tokenizer", "train", "corpus/demo-tokenizer", "--output", tokenizer])
        run(bench, ["corpus", "build", "corpus/demo", "--tokenizer", tokenizer, "--output", corpus])
    return bench.demo


def _words(bench: Bench, folder: Path, steps: int) -> list[str]:
    flags = {
        "runs": bench.work / "demo",
        "steps": steps,
        "eval_every": steps // 2,
        "schedule.warmup_steps": steps // 4,
        "eval_windows": 4,
        "data.tokenizer": folder / "tokenizer",
        "data.sources.0.corpus": folder / "corpus",
        "parallel.dp_replicate": 1,
        "checkpoint.every": max(2, steps // 4),
        "checkpoint.asynchronous": True,
        "logging.every": 1,
        "compute.device": bench.device,
        "compute.precision": "bf16",
        "compute.deterministic": True,
    }
    if bench.dry:
        flags |= {"model.d_model": 16, "model.d_ff": 32, "model.num_encoder_layers": 1}
        flags |= {"model.num_decoder_layers": 1, "batch.global_size": 4, "batch.micro_size": 2}
    return ["run/t5-tiny-demo", *(word for key, value in flags.items() for word in (f"--{key}", str(value)))]


def _losses(run: Path) -> list[tuple[int, float]]:
    """(step, loss) of every whole line of the run's metrics."""
    return [(row["step"], row["loss"]) for row in _metrics(run) if "loss" in row]


def _evaluations(run: Path) -> list[dict[str, Any]]:
    """Held-out losses, without what a clock says."""
    found = ({key: row[key] for key in row if key.startswith("eval/")} for row in _metrics(run))
    return [row for row in found if row]


def _metrics(run: Path) -> list[dict[str, Any]]:
    path = run / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [orjson.loads(line) for line in lines if line]


def _load(bench: Bench, folder: Path) -> None:
    """With nothing but transformers."""
    import torch
    from transformers import AutoTokenizer, T5ForConditionalGeneration

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = T5ForConditionalGeneration.from_pretrained(folder)
    model = model.to(bench.device)  # type: ignore[arg-type]
    inputs = tokenizer("中国的首都是<extra_id_0>。", return_tensors="pt").to(bench.device)
    with torch.no_grad():
        loss = model(**inputs, labels=inputs["input_ids"]).loss.item()
    bench.holds("transformers loads it, its loss is finite", loss == loss and abs(loss) < 1e4, round(loss, 4))
