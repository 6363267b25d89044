"""What an export needs of a training checkpoint, read in one process without any group."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from torch import Tensor

from ..checkpoint import read_state, read_tensors
from ..config.schema import RunConfig, recorded_run
from ..objectives.summary import ObjectiveFacts
from ..run.history import Start, leading_to, read_history
from .chosen import choose
from .config import carried


@dataclass(frozen=True)
class Trained:
    """Weights of a checkpoint by our names, and how they came about."""

    path: Path
    chosen: str
    """Its step and held-out loss, and how they compare with those of the run's other checkpoints."""
    run: RunConfig
    weights: dict[str, Tensor]
    step: int
    samples: int
    fingerprint: str
    objective: ObjectiveFacts | None
    """None where the checkpoint is older than this record."""
    starts: list[Start]
    """Those that led to this step, by the history beside the checkpoint; empty when there is none."""
    origin_config: dict[str, Any]
    """What config.json of the folder that the run started from said, as far as it goes on (config.carried)."""
    losses: list[tuple[int, float]]
    """(step, training loss) from the run's metrics.jsonl up to this step; empty when the file is not there."""
    held_out: dict[str, float]
    """Last held-out loss by "source/objective", from the same file."""


def read_trained(source: Path, which: str) -> Trained:
    """Read a checkpoint folder, or the checkpoint of a run folder that is meant by `which`, see chosen.choose. Verifies
    every byte. Raises UserError."""
    chosen = choose(source, which)
    path = chosen.path
    state = read_state(path)
    run = recorded_run(state["config"], path)
    step = int(state["step"])
    folder = path.parent.parent
    starts = leading_to(read_history(folder), step)
    losses, held_out = _losses(folder / "metrics.jsonl", step)
    facts = state.get("objective")
    return Trained(
        path=path,
        chosen=chosen.words,
        run=run,
        weights=read_tensors(path),
        step=step,
        samples=int(state["samples"]),
        fingerprint=str(state["fingerprint"]),
        objective=None if facts is None else ObjectiveFacts.model_validate(facts),
        starts=starts,
        origin_config=carried(starts[0].origin.config) if starts else {},
        losses=losses,
        held_out=held_out,
    )


def _losses(path: Path, last: int) -> tuple[list[tuple[int, float]], dict[str, float]]:
    """Training losses by step, and the last held-out losses, of metrics.jsonl up to step `last`."""
    losses: list[tuple[int, float]] = []
    held_out: dict[str, float] = {}
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            record: dict[str, Any] = orjson.loads(line)
        except orjson.JSONDecodeError:  # a killed run leaves half a line
            continue
        if record["step"] <= last:
            # JSON has no nan: a loss that was one (fp16, a skipped step) is null.
            known = {name: value for name, value in record.items() if value is not None}
            losses += [(known["step"], known["loss"])] if "loss" in known else []
            held_out |= {name[5:]: value for name, value in known.items() if name.startswith("eval/")}
    return losses, held_out
