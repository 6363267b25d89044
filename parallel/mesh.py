"""The device mesh (pp, dp_replicate, dp_shard, tp) and this rank's place in it."""

from dataclasses import dataclass

import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

AXES = ("pp", "dp_replicate", "dp_shard", "tp")


@dataclass(frozen=True)
class Layout:
    """How many ranks along each axis, and the switches that belong to them. schedule is one of "1f1b", "interleaved",
    "v", "auto"."""

    pp: int = 1
    dp_replicate: int = 1
    dp_shard: int = 1
    tp: int = 1
    sequence_parallel: bool = True
    schedule: str = "auto"

    @property
    def world(self) -> int:
        return self.pp * self.dp_replicate * self.dp_shard * self.tp

    @property
    def sharded_sequence(self) -> bool:
        """Whether activations between tensor-parallel regions are split along the sequence."""
        return self.sequence_parallel and self.tp > 1


class Mesh:
    """The mesh of a layout over all ranks of the process group (created collectively)."""

    def __init__(self, layout: Layout, device_type: str) -> None:
        assert layout.world == dist.get_world_size(), (layout, dist.get_world_size())
        shape = (layout.pp, layout.dp_replicate, layout.dp_shard, layout.tp)
        self.devices: DeviceMesh = init_device_mesh(device_type, shape, mesh_dim_names=AXES)
        self.pp_rank, replicate, shard, self.tp_rank = self.devices.get_coordinate() or (0, 0, 0, 0)
        self.dp_size = layout.dp_replicate * layout.dp_shard
        self.dp_rank = replicate * layout.dp_shard + shard

    def group(self, name: str) -> dist.ProcessGroup:
        return self.devices.get_group(name)

    def pipelines(self) -> list[list[int]]:
        """Global ranks of every pipeline of the job, each in stage order; the same list on all ranks."""
        columns: list[list[int]] = self.devices.mesh.flatten(1).T.tolist()
        return columns
