"""Staged tensors hold their step's values in memory that is used again; on CUDA it is page-locked."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard

from taixue.pretrain.checkpoint import Saver, layout, read_tensors
from taixue.pretrain.checkpoint.staging import Staging

from ...dist import run_ranks
from .toy import full, save_while_training, stage


def make(device: str = "cpu") -> dict[str, Tensor]:
    """Tensors of several kinds: a parameter with its gradient, a view with strides, a scalar, one without elements."""
    weight = torch.nn.Parameter(torch.randn(5, 3, device=device))
    weight.grad = torch.ones_like(weight)
    return {
        "model.weight": weight,
        "model.half": torch.randn(7, 4, device=device).bfloat16().t(),
        "optim.step": torch.tensor(3, device=device),
        "optim.flag": torch.tensor([True], device=device),
        "optim.none": torch.empty(0, 4, device=device),
        "optim.double": torch.randn(3, dtype=torch.float64, device=device),
    }


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        left[key].dtype == right[key].dtype and torch.equal(left[key].cpu(), right[key].cpu()) for key in left
    )


def addresses(tensors: dict[str, Tensor]) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors.values()]


def test_values_stay_and_memory_is_used_again() -> None:
    staging, places = Staging(), set()
    for _ in range(3):
        tensors = make()
        before = {key: tensor.detach().clone() for key, tensor in tensors.items()}
        staged = staging.stage(tensors)
        with torch.no_grad():
            for tensor in tensors.values():
                tensor.zero_()
        assert same(staged, before)
        assert not any(tensor.requires_grad or tensor.grad is not None for tensor in staged.values())
        places.add((*addresses(staged),))
    assert len(places) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"model.weight": torch.randn(6, 3)},
        {"model.weight": torch.randn(3, 5)},
        {"model.weight": torch.randn(5, 3, dtype=torch.float64)},
        {"model.more": torch.randn(1000)},
    ],
    ids=["size", "shape", "dtype", "key"],
)
def test_other_tensors_get_other_memory(change: dict[str, Tensor]) -> None:
    staging = Staging()
    staging.stage(make())
    for tensors in (make() | change, {key: make()[key] for key in ("optim.step", "model.half")}, {}):
        assert same(staging.stage(tensors), tensors)


def test_shards_keep_their_places_on_every_rank() -> None:
    first, second = run_ranks(stage, 2)
    assert (first["relative_bias.weight"], second["relative_bias.weight"]) == (2, 1)
    assert (first["head.bias"], second["head.bias"]) == (1, 0)


def test_a_save_in_flight_holds_its_step_though_training_writes_on(tmp_path: Path) -> None:
    run_ranks(save_while_training, 2, tmp_path)
    for step in (1, 2, 3):
        assert layout.problems(layout.path_of(tmp_path, step)) == []
        stored = read_tensors(layout.path_of(tmp_path, step), "")
        assert same(stored, full(step))


@pytest.fixture
def alone() -> Iterator[dist.ProcessGroup]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist.new_group(backend="gloo")
    dist.destroy_process_group()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_host_memory_for_cuda_is_locked(alone: dist.ProcessGroup) -> None:
    staging, places = Staging(), set()
    mesh = init_device_mesh("cuda", (1,))
    for _ in range(3):
        tensors = make("cuda")
        shard = DTensor.from_local(torch.randn(4, 4, device="cuda"), mesh, [Shard(0)], run_check=False)
        before = {
            key: tensor.detach().clone() for key, tensor in (tensors | {"shard": shard.to_local()}).items()
        }
        staged = staging.stage(tensors | {"shard": shard})
        for tensor in tensors.values():
            tensor.detach().zero_()
        shard.to_local().zero_()
        placed = staged["shard"]
        assert isinstance(placed, DTensor)
        assert (placed.device_mesh, placed.placements) == (shard.device_mesh, shard.placements)
        local = staged | {"shard": placed.to_local()}
        assert all(tensor.is_pinned() for tensor in local.values() if tensor.numel() > 0)
        assert same(local, before)
        places.add((*addresses(local),))
    assert len(places) == 1
    del staging
    assert not any(tensor.is_pinned() for tensor in local.values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("asynchronous", [False, True])
def test_saves_from_cuda_hold_their_step(
    asynchronous: bool, alone: dist.ProcessGroup, tmp_path: Path
) -> None:
    saver = Saver(tmp_path, 3, asynchronous, alone)
    saved = []
    for step in (1, 2, 3):
        tensors = make("cuda")
        saved.append({key: tensor.detach().clone() for key, tensor in tensors.items()})
        saver.save(step, tensors, {})
        for tensor in tensors.values():
            tensor.detach().zero_()
    saver.finish()
    for step in (1, 2, 3):
        assert same(read_tensors(layout.path_of(tmp_path, step), ""), saved[step - 1])
