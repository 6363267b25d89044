"""Run folders as runs leave them, made up: no training needed."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from taixue.pretrain.objectives.summary import ObjectiveFacts
from taixue.pretrain.observe.rank_log import log_path
from taixue.pretrain.run.history import HISTORY_FILE, Code, End, Origin, Start

BEGAN = 1_795_000_000.0


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def start(step: int, at: float, end: tuple[int, str, str, float] | None, **changes: Any) -> Start:
    """One that goes on from `step` at BEGAN + `at`. end: step, why, detail, time; None: killed or running."""
    values: dict[str, Any] = {
        "time": iso(BEGAN + at),
        "origin": Origin(kind="checkpoint", step=step) if step else Origin(kind="seed", seed=1),
        "config": {"name": "made", "steps": 1000, "optimizer": {"lr": 0.02}},
        "changes": {}, "ranks": 2, "layout": {"pp": 1, "dp_shard": 2, "tp": 1}, "fingerprint": "f", "tokenizer": "t",
        "objective": ObjectiveFacts(words="spans", raw_length=30, shapes={"input_ids": (24,)}),
        "code": Code(version="1.0", revision="abcdef0123456789"), "software": {"torch": "2"},
    }  # fmt: skip
    over = None if end is None else End(step=end[0], why=end[1], detail=end[2], time=iso(BEGAN + end[3]))  # type: ignore[arg-type]
    return Start(**(values | changes), end=over)


def reports(first: int, last: int, at: float, every: int = 10, **more: Any) -> list[dict[str, Any]]:
    """Training records of steps first to last, a second a step from BEGAN + `at` on."""
    return [
        {
            "step": step, "time": BEGAN + at + step - first + every,
            "loss": 2 + 4 * math.exp(-step / 200), "loss/span": 2 + 4 * math.exp(-step / 200),
            "grad_norm": 1.0, "lr": 0.02, "tokens": step * 100, "step_seconds": 0.8, "data_wait": 0.1,
            "ranks_wait": 0.05, "tokens_per_second": 120.0,
        } | more
        for step in range(first, last + 1, every)
    ]  # fmt: skip


def evaluation(step: int, at: float, **losses: float) -> dict[str, Any]:
    named = {f"eval/{source}/span": loss for source, loss in losses.items()}
    return {"step": step, "time": BEGAN + at, "evaluation_seconds": 4.0} | named


def save(step: int, at: float) -> dict[str, Any]:
    return {"step": step, "time": BEGAN + at, "save_seconds": 0.5}


def fill(
    step: int, target: list[str], got: list[str], before: str = "中国的首都是", number: int = 0
) -> dict[str, Any]:
    parts = [before, {"target": target, "fill": got}, "。"]
    return {"step": step, "time": BEGAN + step, "source": "web", "number": number, "parts": parts}


def made(
    folder: Path,
    metrics: Iterable[dict[str, Any]] = (),
    starts: Iterable[Start] = (),
    abandoned: Iterable[dict[str, Any]] = (),
    fills: Iterable[dict[str, Any]] = (),
    log: str = "",
) -> Path:
    """The folder, with these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in (("metrics", metrics), ("metrics-abandoned", abandoned), ("fills", fills)):
        if lines := [orjson.dumps(record) for record in records]:
            (folder / f"{name}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    lines = []
    for one in starts:
        lines += [one.model_dump_json(exclude={"end"}).encode()]
        lines += [one.end.model_dump_json().encode()] if one.end else []
    if lines:
        (folder / HISTORY_FILE).write_bytes(b"\n".join(lines) + b"\n")
    if log:
        log_path(folder, 0).parent.mkdir()
        log_path(folder, 0).write_text(log)
    return folder
