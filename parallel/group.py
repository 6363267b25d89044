"""Start and end the process group of a rank."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import NoReturn

import torch
import torch.distributed as dist

from .ranks import Ranks
from .rendezvous import connected


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
    tcp = connected(
        *(ranks.address, ranks.port, ranks.world, is_server, timeout),
        remedy="export MASTER_PORT=<a free port> before the launch, the same for all ranks",
    )
    store = dist.PrefixStore(f"attempt-{ranks.attempt}", tcp)
    dist.init_process_group(backend, store=store, rank=ranks.rank, world_size=ranks.world, timeout=timeout)


def stop() -> None:
    """Leave the group. Only where all ranks come here: a rank waits for what others still owe it."""
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def joined(ranks: Ranks | None, device: torch.device, timeout_seconds: int) -> Iterator[None]:
    """Inside the process group. After an error a rank that has peers stays in it: see abandon()."""
    start(ranks, device, timeout_seconds)
    try:
        yield
    except BaseException:
        if not has_peers():
            stop()
        raise
    stop()


def has_peers() -> bool:
    """Whether this process is in a group with others."""
    return dist.is_initialized() and dist.get_world_size() > 1


def abandon(status: int) -> NoReturn:
    """After an error, beside other ranks: end this process at once.

    They may be stuck in a collective or gone. destroy_process_group() and even the interpreter's own end wait for
    them, gloo as long as its timeout, NCCL until its watchdog (pytorch#180611), and whoever watches the ranks would
    hear of the error only then.
    """
    with suppress(OSError, ValueError):  # nobody may read on
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)
