"""Who am I among the ranks of this job: torchrun, Slurm and MPI say it in different words. No torch here."""

import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from taixue.base import UserError


class OfAllRanks(UserError):
    """Every rank raises it with the same words: one of them need say them."""


@dataclass(frozen=True)
class Ranks:
    """One rank's place. address and port: where rank 0 listens; attempt counts in-place restarts of the group."""

    rank: int
    world: int
    local_rank: int
    local_world: int
    address: str
    port: int
    attempt: str = "0"
    launcher: str = "alone"


_LAUNCHERS = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    "Open MPI": (
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    "Slurm": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"),
    "MPI (PMI)": ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
}
"""Launcher -> its names for (rank, world, local rank, local world), in the order they are looked for. mpirun inside a
Slurm allocation sets two families; Open MPI's own is the one that counts the started processes, and Slurm's is taken
for what `srun --mpi=pmi2` started, whose PMI names tell no local rank."""


def from_environment(environment: Mapping[str, str] = os.environ) -> Ranks | None:
    """The place the launcher gave this process, or None when no launcher started it.

    A Slurm allocation alone (an interactive shell, one task) is not a launch. Raises UserError when the address of
    rank 0 cannot be known.
    """
    for launcher, names in _LAUNCHERS.items():
        rank, world, local_rank, local_world = (environment.get(name) for name in names)
        if rank is None or world is None or (launcher == "Slurm" and not _is_slurm_launch(environment)):
            continue
        size = int(world)
        known = local_world is not None and local_world.isdigit()
        local_size = int(local_world or 0) if known else _ranks_per_node(environment, size)
        address, port = _rendezvous(environment, launcher, single_node=local_size >= size)
        attempt = environment.get("TORCHELASTIC_RESTART_COUNT", environment.get("SLURM_RESTART_COUNT", "0"))
        return Ranks(int(rank), size, int(local_rank or 0), local_size, address, port, attempt, launcher)
    return None


def here() -> Ranks:
    """from_environment(), and rank 0 of 1 when alone or where rank 0's address is missing."""
    try:
        found = from_environment()
    except UserError:
        found = None
    return found or Ranks(0, 1, 0, 1, "", 0)


def device_number(
    ranks: Ranks | None, visible: int, environment: Mapping[str, str] = os.environ
) -> int | None:
    """Which of the `visible` devices of this process is this rank's, or None when there are too few.

    srun --gpus-per-task=1 shows every rank its own device alone, each as number 0.
    """
    if ranks is None:
        return 0 if visible else None
    per_task = environment.get("SLURM_GPUS_PER_TASK") or environment.get("SLURM_TRES_PER_TASK", "")
    if visible == 1 and ranks.launcher == "Slurm" and re.search(r"(^|gpu[:=])1$", per_task):
        return 0
    return ranks.local_rank if ranks.local_world <= visible else None


def _is_slurm_launch(environment: Mapping[str, str]) -> bool:
    """Whether srun started this process as one of several, and is not just around an mpirun of another kind."""
    several = environment.get("SLURM_NTASKS") != "1" and "SLURM_STEP_ID" in environment
    pmi = environment.get("PMI_RANK")
    return several and (pmi is None or pmi == environment["SLURM_PROCID"])


def _ranks_per_node(environment: Mapping[str, str], world: int) -> int:
    """When the launcher does not say: an even share over the nodes it names, or all ranks where it names none."""
    nodes = environment.get("SLURM_STEP_NUM_NODES") or environment.get("SLURM_NNODES") or "1"
    return -(-world // int(nodes))


def _rendezvous(environment: Mapping[str, str], launcher: str, single_node: bool) -> tuple[str, int]:
    address, port = environment.get("MASTER_ADDR"), environment.get("MASTER_PORT")
    if address and port:
        return address, int(port)
    job = (
        environment.get("SLURM_JOB_ID")
        or environment.get("PMIX_NAMESPACE")
        or environment.get("PMI_JOBID")
        or ""
    )
    free_port = 20000 + zlib.crc32(job.encode()) % 20000
    if single_node:
        return address or "127.0.0.1", int(port or free_port)
    if launcher == "Slurm" and environment.get("SLURM_LAUNCH_NODE_IPADDR"):
        return address or environment["SLURM_LAUNCH_NODE_IPADDR"], int(port or free_port)
    raise UserError(
        f"{launcher} started this job on several nodes, but MASTER_ADDR and MASTER_PORT are not set. "
        "Export MASTER_ADDR=<host of rank 0> and MASTER_PORT=<free port> before the launch."
    )
