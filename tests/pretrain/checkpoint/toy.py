"""A small set of sharded tensors to save and load, and the rank functions of the checkpoint tests."""

import os
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from taixue import UserError
from taixue.pretrain.checkpoint import Saver, newest, read_state, restore, storage
from taixue.pretrain.checkpoint import layout as folders
from taixue.pretrain.checkpoint.staging import Staging
from taixue.pretrain.checkpoint.tensor_file import write_tensors

SHAPES = {
    "q.weight": (14, 8),
    "wo.weight": (6, 12),
    "norm.weight": (9,),
    "relative_bias.weight": (3, 4),
    "head.bias": (1,),  # of two ranks, one holds nothing
}
SPLIT = {"q.weight": Shard(0), "wo.weight": Shard(1), "relative_bias.weight": Shard(1)}


def full(step: int) -> dict[str, Tensor]:
    """What the tensors hold at `step`, whole."""
    generator = torch.Generator().manual_seed(step)
    return {f"model.{name}": torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def tensors(layout: dict[str, int], step: int) -> dict[str, Tensor]:
    """The same, laid out by tensor parallelism and FSDP2 on this rank."""
    mesh = init_device_mesh("cpu", tuple(layout.values()), mesh_dim_names=tuple(layout))
    module = torch.nn.Module()
    for key, value in full(step).items():
        if "tp" in layout:
            placement = SPLIT.get(key.removeprefix("model."), Replicate())
            value = distribute_tensor(value, mesh["tp"], [placement])
        module.register_parameter(key.replace(".", "/"), torch.nn.Parameter(value))
    fully_shard(module, mesh=mesh[tuple(name for name in layout if name != "tp")])
    return {name.replace("/", "."): parameter for name, parameter in module.named_parameters()}


def save_steps(
    folder: Path, layout: dict[str, int], steps: tuple[int, ...], asynchronous: bool = False, keep: int = 3
) -> None:
    """Save each step; the tensors have gradients, and change right after save() returns."""
    saver = Saver(folder, keep, asynchronous, dist.new_group(backend="gloo"))
    for step in steps:
        now = tensors(layout, step)
        for tensor in now.values():
            tensor.grad = torch.ones_like(tensor)
        saver.save(step, now, {"step": step, "config": {"seed": 1}})
        with torch.no_grad():
            for tensor in now.values():
                tensor.mul_(0)
    saver.finish()


def stage() -> dict[str, int]:
    """Stage the shards of this rank; the rows of each that it holds."""
    now = tensors({"dp_shard": dist.get_world_size()}, 1)
    staged = Staging().stage(now)
    for key, tensor in staged.items():
        source = now[key]
        assert isinstance(source, DTensor)
        assert isinstance(tensor, DTensor)
        assert (tensor.shape, tensor.stride()) == (source.shape, source.stride())
        assert (tensor.device_mesh, tensor.placements) == (source.device_mesh, source.placements)
        assert torch.equal(tensor.to_local(), source.to_local())
        source.detach().zero_()
        assert torch.equal(tensor.full_tensor(), full(1)[key])
    return {key.removeprefix("model."): len(staged[key].to_local()) for key in staged}  # type: ignore[attr-defined]


def save_while_training(folder: Path) -> None:
    """Save steps 1 to 3 of the same tensors; from the second on no byte is written before they have changed again."""
    changed = threading.Event()
    changed.set()  # the first save is waited for

    def write_late(path: Path, pieces: dict[str, Tensor]) -> folders.Digest:
        assert changed.wait(60)
        return write_tensors(path, pieces)

    layout = {"dp_shard": dist.get_world_size()}
    saver = Saver(folder, 3, True, dist.new_group(backend="gloo"))
    now = {key: tensor.detach() for key, tensor in tensors(layout, 0).items()}
    with mock.patch.object(storage, "write_tensors", write_late):
        for step in (1, 2, 3):
            for key, value in tensors(layout, step).items():
                now[key].copy_(value.detach())
            saver.wait()
            if step > 1:
                changed.clear()
            saver.save(step, now, {"step": step})
            for tensor in now.values():
                tensor.zero_()
            changed.set()
        saver.finish()


def load_newest(folder: Path, layout: dict[str, int]) -> int | None:
    """Load into `layout` and check every value; the step that was found."""
    group = dist.new_group(backend="gloo")
    found = newest(folder, group)
    if found is None:
        return None
    step: int = read_state(found)["step"]
    now = tensors(layout, 10**6)
    restore(found, now, group)
    for key, value in full(step).items():
        assert torch.equal(now[key].full_tensor(), value), key  # type: ignore[attr-defined]
    return step


def save_forever(folder: Path, layout: dict[str, int], asynchronous: bool) -> None:
    """Save step after step until killed; a file per rank tells the test whom to kill."""
    rank = dist.get_rank()
    (folder / f"pid-{rank}").write_text(str(os.getpid()))
    saver = Saver(folder, 2, asynchronous, dist.new_group(backend="gloo"))
    for step in range(1, 10**6):
        saver.save(step, tensors(layout, step), {"step": step, "config": {}})
        time.sleep(0.001)


def fail_on_rank_one(folder: Path) -> tuple[str, list[str], list[str]]:
    """Save steps 1 to 3; at step 2 rank 1 finds its disk full. What finish() would have said of step 2; what was
    there then; what is there in the end.
    """
    saver = Saver(folder, 3, False, dist.new_group(backend="gloo"))
    layout = {"dp_shard": dist.get_world_size()}
    full_disk = mock.patch.object(storage, "write_tensors", side_effect=OSError(28, "No space left"))
    saver.save(1, tensors(layout, 1), {})
    with full_disk if dist.get_rank() == 1 else nullcontext():
        saver.save(2, tensors(layout, 2), {})
    with pytest.raises(UserError) as error:
        saver.finish()
    dist.barrier()
    left = sorted(path.name for path in folder.iterdir())
    dist.barrier()
    saver.save(3, tensors(layout, 3), {})
    saver.finish()
    return str(error.value), left, sorted(path.name for path in folder.iterdir())


def newest_unreadable_on_rank_one(folder: Path, number: int) -> str:
    """What newest() says when rank 1's file system answers every read of a checkpoint's files with error `number`."""
    group = dist.new_group(backend="gloo")
    refusing = mock.patch.object(folders, "digest", side_effect=OSError(number, os.strerror(number)))
    with refusing if dist.get_rank() == 1 else nullcontext(), pytest.raises(UserError) as error:
        newest(folder, group)
    return str(error.value)


def fail_at_first(folder: Path, asynchronous: bool) -> str:
    """Rank 1's disk is full from the beginning: what save() says."""
    saver = Saver(folder, 3, asynchronous, dist.new_group(backend="gloo"))
    full_disk = mock.patch.object(storage, "write_tensors", side_effect=OSError(28, "No space left"))
    with full_disk if dist.get_rank() == 1 else nullcontext(), pytest.raises(UserError) as error:
        saver.save(1, tensors({"dp_shard": dist.get_world_size()}, 1), {})
    return str(error.value)


def save_with_a_best(folder: Path) -> list[list[str]]:
    """Save 1 to 5, the newest and the best kept, which is 1 until 4, whose save finds the disk full; what is there
    after each."""
    saver, seen = Saver(folder, 1, True, dist.new_group(backend="gloo")), []
    for step, best in ((1, 1), (2, 1), (3, 1), (4, 4), (5, 5)):
        full_disk = mock.patch.object(storage, "write_tensors", side_effect=OSError(28, "No space left"))
        with full_disk if step == 4 else nullcontext():
            saver.save(step, tensors({"dp_shard": 1}, step), {}, best)
            saver.wait()
        seen.append([str(int(path.name[5:])) for path in sorted(folder.iterdir())])
    return seen
