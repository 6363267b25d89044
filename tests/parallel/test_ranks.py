"""The place of a rank, as each launcher tells it."""

import pytest

from taixue import UserError
from taixue.parallel.ranks import Ranks, device_number, from_environment

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
MASTER = {"MASTER_ADDR": "node0", "MASTER_PORT": "29500"}
SLURM = {
    "SLURM_PROCID": "9",
    "SLURM_NTASKS": "16",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_ID": "0",
    "SLURM_JOB_ID": "7",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}


def test_nobody_started_it() -> None:
    assert from_environment({}) is None
    assert from_environment({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_STEP_ID": "0"}) is None
    assert from_environment({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}) is None  # a batch script, not srun


def test_torchrun() -> None:
    restarted = TORCHRUN | MASTER | {"TORCHELASTIC_RESTART_COUNT": "2"}
    assert from_environment(restarted) == Ranks(3, 4, 1, 2, "node0", 29500, "2", "torchrun")


def test_mpirun_on_one_machine_agrees_on_a_port_without_being_told() -> None:
    first, second = (from_environment(OPEN_MPI | {"OMPI_COMM_WORLD_RANK": rank}) for rank in "01")
    assert first is not None
    assert second is not None
    assert (first.address, first.port) == (second.address, second.port) == ("127.0.0.1", first.port)
    assert (second.rank, second.world, second.local_rank, second.local_world) == (1, 2, 1, 2)


def test_mpirun_on_several_machines_needs_an_address() -> None:
    environment = OPEN_MPI | {"OMPI_COMM_WORLD_SIZE": "4"}
    with pytest.raises(UserError, match="Export MASTER_ADDR"):
        from_environment(environment)
    assert from_environment(environment | MASTER) == Ranks(1, 4, 1, 2, "node0", 29500, "0", "Open MPI")


def test_srun_over_two_nodes_finds_the_first() -> None:
    """Without --ntasks-per-node nothing says how many ranks a node has; it must not be taken for one machine."""
    environment = SLURM | {"SLURM_NNODES": "2", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1"}
    ranks = from_environment(environment)
    assert ranks is not None
    assert (ranks.address, ranks.local_world, ranks.local_rank) == ("10.0.0.1", 8, 1)


def test_srun_with_pmi_is_still_slurm() -> None:
    environment = SLURM | MASTER | {"SLURM_NTASKS_PER_NODE": "8", "PMI_RANK": "9", "PMI_SIZE": "16"}
    ranks = from_environment(environment)
    assert ranks is not None
    assert (ranks.launcher, ranks.rank, ranks.local_rank) == ("Slurm", 9, 1)


def test_mpirun_inside_an_allocation_is_mpi() -> None:
    ranks = from_environment(SLURM | OPEN_MPI)
    assert ranks is not None
    assert (ranks.launcher, ranks.rank, ranks.world) == ("Open MPI", 1, 2)


def test_device_of_a_rank() -> None:
    ranks = Ranks(5, 8, 1, 4, "node0", 29500, "0", "Slurm")
    assert device_number(ranks, 4, {}) == 1
    assert device_number(ranks, 3, {}) is None
    assert device_number(ranks, 1, {}) is None, "four ranks would share one device"
    for bound in ({"SLURM_GPUS_PER_TASK": "1"}, {"SLURM_TRES_PER_TASK": "cpu=8,gres/gpu:1"}):
        assert device_number(ranks, 1, bound) == 0, "Slurm shows each rank its own"
    assert device_number(ranks, 1, {"SLURM_GPUS_PER_TASK": "2"}) is None
    assert (device_number(None, 2, {}), device_number(None, 0, {})) == (0, None)
