"""Local ranks: one torchrun agent as a child, its signals forwarded, its end judged by the run folder.

torchrun's own exit status says "failed" after a signal even when every rank saved and left with 0, so a run that was
preempted is recognised by the marker it leaves.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from taixue.base import UserError
from taixue.pretrain.run.contents import PREEMPTED

if TYPE_CHECKING:
    from taixue.pretrain.config.schema import ParallelConfig

rank_program: tuple[str, ...] = ("-m", "taixue.launch.cli", "train")
"""What a rank of a run runs, before CONFIG: Taixue, or the user's script that called taixue.main()."""

SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_AS_THEY_ARE = (signal.SIGUSR1, signal.SIGINT)
_WITHOUT_NODES = Path("/dev/dxg")
"""There, in WSL, GPUs have no device nodes of their own."""

SHUTDOWN_SECONDS = 600
"""How long ranks may take to save after a signal before they are killed; torchrun's default, 30, cuts saves."""


def world_size(parallel: "ParallelConfig", device: str) -> int:
    """Ranks to start here for a layout; dp_shard 0 takes as many as there are GPUs. Raises UserError."""
    fixed = parallel.tp * parallel.pp * parallel.dp_replicate
    gpus = 0 if device == "cpu" else _gpus()
    if device == "cuda" and not gpus and not _WITHOUT_NODES.exists():
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = "this machine has no NVIDIA GPU" if hidden is None else f"CUDA_VISIBLE_DEVICES is {hidden!r}"
        raise UserError(
            f"compute.device: cuda, but {why}; set compute.device to cpu, or auto to take what is there"
        )
    if device == "cuda" and version("torch").endswith("+cpu"):
        raise UserError(
            f"compute.device: cuda, but torch {version('torch')} is built without CUDA; install a build with it, or "
            "set compute.device to cpu"
        )
    world = fixed * (parallel.dp_shard or max(1, gpus // fixed))
    if gpus and world > gpus:
        raise UserError(
            f"parallel: {world} ranks, this machine has {gpus} GPUs; start several machines with launch/torchrun.sh, "
            f"choose a layout of at most {gpus} ranks, or set compute.device to cpu"
        )
    return world


def _gpus() -> int:
    """NVIDIA devices this process may use, counted without torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    return sum(path.name.removeprefix("nvidia").isdecimal() for path in Path("/dev").glob("nvidia*"))


def start(program: Sequence[str], world: int, folder: Path) -> int:
    """Run `python PROGRAM` on `world` ranks; returns the exit status of the run whose folder is `folder`.

    0: finished, or saved because of a signal. Otherwise that of the first rank that failed. Ranks save at SIGUSR1,
    SIGINT (Ctrl-C; a second one kills them at once) and SIGTERM; any other signal that ends a program reaches them as
    SIGTERM. SIGHUP stays ignored where it is (nohup).
    """
    command = [
        *(sys.executable, "-m", "taixue.launch.agent", "--standalone", "--nproc-per-node", str(world)),
        *("--signals-to-handle", ",".join(SIGNALS), "--shutdown-timeout", str(SHUTDOWN_SECONDS)),
        *program,
    ]
    environment = os.environ | allocator_settings()
    environment.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // world)))
    marker = folder / PREEMPTED
    before = _age(marker)
    agent = subprocess.Popen(command, env=environment, process_group=0, preexec_fn=_end_with_parent)

    def forward(number: int, frame: FrameType | None) -> None:
        agent.send_signal(number if number in _AS_THEY_ARE else signal.SIGTERM)

    heard = [number for number in map(signal.Signals.__getitem__, SIGNALS) if not _under_nohup(number)]
    previous = {number: signal.signal(number, forward) for number in heard}
    try:
        status = agent.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if _age(marker) not in (None, before):
        return 0
    return status if status >= 0 else 128 - status


def allocator_settings() -> dict[str, str]:
    """What torch's CUDA allocator is told before it starts: memory grows in place, so that batches of other lengths,
    evaluation and saving leave no gaps that nothing fits into. What the user has set stays."""
    given = os.environ.get("PYTORCH_ALLOC_CONF") or os.environ.get("PYTORCH_CUDA_ALLOC_CONF")
    return {} if given else {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}


def _under_nohup(number: int) -> bool:
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN


def _age(marker: Path) -> int | None:
    return marker.stat().st_mtime_ns if marker.exists() else None


def _end_with_parent() -> None:
    """In the child: get SIGTERM when the parent dies, so that no training goes on unseen (Linux)."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
