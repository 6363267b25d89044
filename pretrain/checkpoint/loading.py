"""Loading a run: the newest checkpoint that verifies, into any layout; or plain tensors without any group."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from safetensors import safe_open
from torch import Tensor

from taixue.base import UserError
from taixue.parallel.agree import agreed, from_main, gathered

from . import layout
from .storage import Reader, read_index

log = logging.getLogger("taixue")


def newest(folder: Path, group: dist.ProcessGroup) -> Path | None:
    """The newest committed checkpoint whose every byte is as it was written; None if there never was one.

    Damaged ones are renamed to *.corrupt and reported. Raises UserError, on all ranks, if any rank cannot read one
    (then nothing is renamed), and if only damaged ones are left: starting over is for a person to decide.
    Collectives: gathers on `group` (gloo, all ranks); the ranks share the reading.
    """
    rank, world = dist.get_rank(), dist.get_world_size()
    for path in from_main(group, lambda: layout.committed(folder)):
        findings = gathered(group, agreed(group, partial(layout.problems, path, rank, world)))
        found = sorted({finding for several in findings for finding in several})
        if not found:
            return path
        from_main(group, partial(_set_aside, path, found[0]))
    damaged = from_main(group, lambda: layout.set_aside(folder))
    if damaged:
        raise UserError(
            f"no intact checkpoint is left in {folder}, only damaged ones ({', '.join(damaged)}). To go on, put back "
            "a good copy of one under its name without .corrupt; to start over, give the run another name or remove "
            f"{folder.parent}"
        )
    return None


def restore(checkpoint: Path, tensors: dict[str, Tensor], group: dist.ProcessGroup) -> None:
    """Fill tensors (plain or DTensor, by flat key, any layout) in place from a verified checkpoint.

    Raises DCP's CheckpointException if a key is missing or has another shape. Collectives on `group`: DCP's.
    """
    planner = dcp.DefaultLoadPlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
    dcp.load(tensors, storage_reader=Reader(checkpoint), planner=planner, process_group=group)


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The JSON state: step, samples, seed, fingerprint, config and what else the loop put there."""
    return orjson.loads((checkpoint / layout.STATE).read_bytes())


def read_tensors(checkpoint: Path, prefix: str = "model.") -> dict[str, Tensor]:
    """Full tensors on the CPU, by name without the prefix. Needs no process group."""
    tensors: dict[str, Tensor] = {}
    pieces: dict[str, list[tuple[str, tuple[slice, ...]]]] = {}
    for key, entry in read_index(checkpoint).items():
        if key.startswith(prefix):
            tensors[key] = torch.empty(entry["shape"], dtype=getattr(torch, entry["dtype"]))
            for chunk in entry["chunks"]:
                region = zip(chunk["offsets"], chunk["sizes"], strict=True)
                place = tuple(slice(start, start + size) for start, size in region)
                pieces.setdefault(chunk["file"], []).append((key, place))
    for file, places in pieces.items():
        with safe_open(checkpoint / file, framework="pt") as stored:
            for key, place in places:
                tensors[key][place] = stored.get_tensor(key)
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}


def _set_aside(checkpoint: Path, problem: str) -> None:
    for number in range(1000):
        aside = checkpoint.with_name(checkpoint.name + layout.CORRUPT + (f".{number}" if number else ""))
        if not aside.exists():
            checkpoint.rename(aside)
            log.warning("checkpoint %s is damaged (%s); kept as %s", checkpoint, problem, aside.name)
            log.warning("falling back to the checkpoint before it")
            return
    raise OSError(f"{checkpoint}: too many damaged checkpoints of this step are kept; remove some")
