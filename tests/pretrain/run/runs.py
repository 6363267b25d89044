"""Small runs for the tests of the loop, and what the ranks of such a run execute."""

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import orjson
import torch
import torch.distributed as dist
from safetensors.numpy import load_file

from taixue import UserError
from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.parallel.runtime import Runtime
from taixue.parallel.stop import StopRequest
from taixue.pretrain import train
from taixue.pretrain.checkpoint import layout
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.data import open_data
from taixue.pretrain.objectives import build_objective
from taixue.pretrain.observe import show_messages

T5: dict[str, Any] = {
    "family": "t5",
    "vocab_size": 256,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 24,
    "num_heads": 4,
    "num_encoder_layers": 2,
    "num_decoder_layers": 2,
    "dropout": 0.1,
}
BERT: dict[str, Any] = {
    "family": "bert",
    "vocab_size": 256,
    "d_model": 16,
    "d_ff": 24,
    "num_heads": 4,
    "num_layers": 2,
    "max_positions": 32,
    "dropout": 0.1,
}


def settings(tmp: Path, made: dict[str, str], **changes: Any) -> dict[str, Any]:
    """A run of 6 steps, 2 micro-batches each on two data-parallel ranks, saved every second step."""
    base: dict[str, Any] = {
        "name": "run",
        "runs": str(tmp / "runs"),
        "steps": 6,
        "eval_every": 3,
        "eval_windows": 5,
        "model": T5,
        "data": {"tokenizer": made["t5"], "sources": [{"corpus": made["t5-corpus"]}]},
        "objective": {"kind": "span-corruption", "input_length": 24},
        "batch": {"global_size": 8, "micro_size": 2},
        "schedule": {"warmup_steps": 2},
        "compute": {"device": "cpu", "precision": "fp32"},
        "parallel": {"dp_shard": 0},
        "checkpoint": {"every": 2},
        "logging": {"every": 1},
        "dry_run": False,
    }
    return base | changes


def bert(made: dict[str, str]) -> dict[str, Any]:
    """What a BERT run changes."""
    return {
        "model": BERT,
        "data": {"tokenizer": made["bert"], "sources": [{"corpus": made["bert-corpus"]}]},
        "objective": {"kind": "mlm", "input_length": 24},
    }


def go(values: dict[str, Any], disturbance: str = "") -> str:
    """Rank function: train the run in the group that is there. "done", or the UserError's message."""
    run = RunConfig.model_validate(values)
    tokenizer = load_tokenizer(run.data.tokenizer)
    objective = build_objective(run.objective, tokenizer)
    data = open_data(run, tokenizer, objective)
    show_messages(dist.get_rank() == 0)
    with StopRequest() as stop, _disturbed(disturbance):
        try:
            train.train(run, objective, data, torch.device("cpu"), stop)
        except UserError as error:
            return str(error)
        finally:
            logging.getLogger("taixue").handlers.clear()
    return "done"


def _disturbed(disturbance: str) -> Any:
    """ "<what>@<n>": rank 1 (or the only one) is asked to stop at the end of step n ("term", "usr1", "int"), before its
    first micro-batch ("mid") or after batch n of all evaluations ("eval"); the gradient norm of step n is spoiled
    ("nan"), or the loss of rank 1's micro-batch n of all ("loss").
    """
    what, _, at = disturbance.partition("@")
    if what == "nan":
        return _changed("grad_norm", int(at), lambda result: result * float("nan"))
    if what == "loss" and dist.get_rank() == 1:
        weigh, calls = Runtime._weigh, count(1)
        return mock.patch.object(
            Runtime, "_weigh", lambda self, x: weigh(self, x * float("nan") if next(calls) == int(at) else x)
        )
    if what in ("term", "usr1", "int", "mid", "eval"):
        number = {"usr1": signal.SIGUSR1, "int": signal.SIGINT}.get(what, signal.SIGTERM)
        victim = dist.get_rank() == min(1, dist.get_world_size() - 1)
        where = {"mid": "seed", "eval": "evaluate"}.get(what, "grad_norm")
        return _changed(
            where, int(at), lambda result: os.kill(os.getpid(), number) or result if victim else result
        )
    return nullcontext()


def go_interrupted(values: dict[str, Any]) -> list[str]:
    """Rank function: KeyboardInterrupt in step 5, while a save takes a second; the checkpoints when it has left."""

    def slow(*arguments: Any) -> None:
        time.sleep(1)
        commit(*arguments)

    def interrupt(result: Any) -> Any:
        raise KeyboardInterrupt

    commit = layout.commit
    with (
        mock.patch.object(layout, "commit", slow),
        _changed("grad_norm", 5, interrupt),
        suppress(KeyboardInterrupt),
    ):
        go(values)
    return sorted(path.name for path in (folder(values) / "checkpoints").iterdir())


def count_questions(values: dict[str, Any]) -> int:
    """Rank function: how often the ranks were asked whether to stop."""
    with mock.patch.object(StopRequest, "agreed", autospec=True, side_effect=StopRequest.agreed) as asked:
        assert go(values) == "done"
    return asked.call_count


def _changed(method: str, call: int, change: Callable[[Any], Any]) -> Any:
    """Runtime.method, whose call number `call` (from 1) gives change(result)."""
    original, calls = getattr(Runtime, method), count(1)

    def changed(self: Runtime, *arguments: Any) -> Any:
        result = original(self, *arguments)
        return change(result) if next(calls) == call else result

    return mock.patch.object(Runtime, method, changed)


def folder(values: dict[str, Any]) -> Path:
    return Path(values["runs"]) / values["name"]


def tensors(values: dict[str, Any], step: int) -> dict[str, np.ndarray]:
    """Every stored piece of a checkpoint: (file, key) -> array."""
    checkpoint = folder(values) / "checkpoints" / f"step-{step:08d}"
    return {
        f"{path.name}:{key}": array
        for path in sorted(checkpoint.glob("*.safetensors"))
        for key, array in load_file(path).items()
    }


def same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(one[key].tobytes() == other[key].tobytes() for key in one)


def metrics(values: dict[str, Any]) -> list[dict[str, float]]:
    """metrics.jsonl without what depends on the clock, and without saves."""
    clock = ("seconds", "per_second", "_wait", "memory", "time")
    rows = [orjson.loads(row) for row in (folder(values) / "metrics.jsonl").read_bytes().splitlines()]
    rows = [row for row in rows if "save_seconds" not in row]
    return [{k: v for k, v in row.items() if not any(part in k for part in clock)} for row in rows]
