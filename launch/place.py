"""The place of a corpus build among its ranks: Slurm arrays, torchrun, srun, mpirun. They share only a folder, so no
address and no process group is needed.
"""

import os
from collections.abc import Mapping

from taixue.base import UserError
from taixue.parallel.ranks import from_environment


def corpus_place(environment: Mapping[str, str] = os.environ) -> tuple[int, int, int]:
    """(rank, world, ranks on this machine). Tasks of a Slurm array count as ranks; each may have several itself.

    UserError for an array whose numbers do not follow each other.
    """
    nowhere = {"MASTER_ADDR": "nowhere", "MASTER_PORT": "1"}
    ranks = from_environment({**environment, **nowhere})
    rank, world, local = (ranks.rank, ranks.world, ranks.local_world) if ranks else (0, 1, 1)
    if "SLURM_ARRAY_TASK_ID" in environment:
        number, first, last, tasks = (
            int(environment[f"SLURM_ARRAY_TASK_{name}"]) for name in ("ID", "MIN", "MAX", "COUNT")
        )
        if last - first + 1 != tasks:
            raise UserError(f"Slurm array {first}-{last} has {tasks} tasks; use --array=0-{tasks - 1}")
        rank, world = (number - first) * world + rank, tasks * world
    return rank, world, local


def workers_per_rank(local_ranks: int) -> int:
    """Cores of this machine shared by its ranks."""
    return max(1, len(os.sched_getaffinity(0)) // max(local_ranks, 1))
