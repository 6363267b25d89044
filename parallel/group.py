"""Start and end the process group of a rank."""

import os
from datetime import timedelta

import torch
import torch.distributed as dist

from .ranks import Ranks


def start(ranks: Ranks | None, device: torch.device, timeout_seconds: int) -> None:
    """Join the job's process group (gloo on CPU, NCCL and gloo on CUDA); alone, a group of one without network.

    torchrun restarts a failed group inside the same store, where keys of the dead attempt would be read again
    (pytorch#135712); the attempt number as key prefix prevents it.
    """
    timeout = timedelta(seconds=timeout_seconds)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if ranks is None or ranks.world == 1:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1, timeout=timeout)
        return
    # torchrun's agent may hold the store already; elsewhere rank 0 does.
    is_server = ranks.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    tcp = dist.TCPStore(
        ranks.address, ranks.port, ranks.world, is_master=is_server, timeout=timeout, wait_for_workers=False
    )
    store = dist.PrefixStore(f"attempt-{ranks.attempt}", tcp)
    dist.init_process_group(backend, store=store, rank=ranks.rank, world_size=ranks.world, timeout=timeout)


def stop() -> None:
    """Leave the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()
