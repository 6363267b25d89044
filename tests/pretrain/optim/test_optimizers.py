"""Optimizers equal their published twins on one process, and themselves on every sharding."""

from math import prod
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.optim import OptimizerSection, build_optimizer, optimizer_tensors

from ...dist import run_ranks

STEPS = 3
# rows that do not divide evenly over two shards, a vector, and rows fewer than ranks
SHAPES = {"q.weight": (14, 8), "wo.weight": (6, 12), "norm.weight": (9,), "relative_bias.weight": (3, 4)}
SPLIT = {"q.weight": Shard(0), "wo.weight": Shard(1), "relative_bias.weight": Shard(1)}


def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in SHAPES.items()
    }


def gradients(step: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in SHAPES.items()
    }


def settings(name: str, decay: float = 0.1) -> OptimizerSection:
    values = {"name": name, "lr": 0.02, "weight_decay": decay, "eps": 1e-7}
    return RunConfig.model_validate({"optimizer": values}).optimizer


def train(name: str, parameters: dict[str, nn.Parameter]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights and optimizer state, full tensors, after STEPS steps on the fixed gradients."""
    named = list(parameters.items())
    optimizer = build_optimizer(settings(name), named)
    for step in range(STEPS):
        for key, full in gradients(step).items():
            parameters[key].grad = laid_out(full, parameters[key])
        optimizer.step()
    assert optimizer.updates == STEPS
    state = optimizer_tensors(optimizer, named)
    return ({k: whole(p) for k, p in parameters.items()}, {k: whole(t) for k, t in state.items()})


def laid_out(full: Tensor, like: Tensor) -> Tensor:
    if not isinstance(like, DTensor):
        return full.clone()
    return distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)


def whole(tensor: Tensor) -> Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().clone()


def plain() -> dict[str, nn.Parameter]:
    return {name: nn.Parameter(value.clone()) for name, value in weights().items()}


class Holder(nn.Module):
    """The test's parameters, already DTensors on tp where tp is used."""

    def __init__(self, tp: Any) -> None:
        super().__init__()
        self.weights = nn.ParameterDict()
        for name, value in weights().items():
            if tp is not None:
                value = distribute_tensor(value, tp, [SPLIT.get(name, Replicate())])
            self.weights[name.replace(".", "/")] = nn.Parameter(value)


def sharded(layout: dict[str, int]) -> dict[str, nn.Parameter]:
    mesh = init_device_mesh("cpu", tuple(layout.values()), mesh_dim_names=tuple(layout))
    holder = Holder(mesh["tp"] if "tp" in layout else None)
    data = tuple(name for name in layout if name != "tp")
    fully_shard(holder, mesh=mesh[data])
    return {name.replace("/", "."): parameter for name, parameter in holder.weights.items()}


def compare(layout: dict[str, int]) -> None:
    for name in ("adamw", "adamw-rms", "adafactor"):
        after, state = train(name, sharded(layout))
        expected, expected_state = train(name, plain())
        torch.testing.assert_close(after, expected, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(state, expected_state, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "layout",
    [
        {"dp_shard": 2},
        {"dp_shard": 4},
        {"dp_shard": 1, "tp": 2},
        {"dp_shard": 2, "tp": 2},
        {"dp_replicate": 2, "dp_shard": 2},
    ],
    ids=str,
)
def test_every_sharding_takes_the_step_of_one_process(layout: dict[str, int]) -> None:
    run_ranks(compare, prod(layout.values()), layout)


def test_adafactor_equals_transformers() -> None:
    from transformers.optimization import Adafactor

    ours, _ = train("adafactor", plain())
    parameters = plain()
    groups = [
        {"params": [p], "weight_decay": 0.1 if name in ("q.weight", "wo.weight") else 0.0}
        for name, p in parameters.items()
    ]
    twin = Adafactor(groups, lr=0.02, scale_parameter=True, relative_step=False, warmup_init=False)
    for step in range(STEPS):
        for key, full in gradients(step).items():
            parameters[key].grad = full.clone()
        twin.step()
    torch.testing.assert_close(ours, {k: p.detach() for k, p in parameters.items()}, rtol=1e-12, atol=1e-12)


def test_adamw_rms_equals_its_formula() -> None:
    ours, state = train("adamw-rms", plain())
    for name, value in weights().items():
        mean = square = torch.zeros_like(value)
        decay = 0.0 if name in ("norm.weight", "relative_bias.weight") else 0.1
        for t in range(1, STEPS + 1):
            gradient = gradients(t - 1)[name]
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.98 * square + 0.02 * gradient**2
            direction = (mean / (1 - 0.9**t)) / ((square / (1 - 0.98**t)).sqrt() + 1e-7)
            rms = value.square().mean().sqrt().clamp(min=1e-3)
            value = value - 0.02 * decay * value - 0.02 * rms * direction
        torch.testing.assert_close(ours[name], value, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(state[f"exp_avg.{name}"], mean, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["adamw", "adamw-rms", "adafactor"])
def test_state_and_update_count_are_all_that_must_be_kept(name: str) -> None:
    """Copying weights, state tensors and the count into a fresh optimizer continues bit for bit."""
    first, second = plain(), plain()
    one = build_optimizer(settings(name), list(first.items()))
    step_all(one, first, range(2))
    two = build_optimizer(settings(name), list(second.items()))
    for key, value in optimizer_tensors(one, list(first.items())).items():
        optimizer_tensors(two, list(second.items()))[key].copy_(value)
    two.updates = one.updates
    with torch.no_grad():
        for key, parameter in second.items():
            parameter.copy_(first[key])
    step_all(one, first, range(2, 4))
    step_all(two, second, range(2, 4))
    assert all(torch.equal(first[key], second[key]) for key in first)


def step_all(optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter], steps: range) -> None:
    for step in steps:
        for key, full in gradients(step).items():
            parameters[key].grad = full.clone()
        optimizer.step()


def test_weight_decay_spares_vectors_and_bias_tables() -> None:
    parameters = plain()
    optimizer = build_optimizer(settings("adamw"), list(parameters.items()))
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(parameters["q.weight"]), id(parameters["wo.weight"])}


def test_adafactor_state_is_small() -> None:
    parameters = {"w": nn.Parameter(torch.randn(300, 200))}
    state = optimizer_tensors(
        build_optimizer(settings("adafactor"), list(parameters.items())), list(parameters.items())
    )
    assert {key: tuple(value.shape) for key, value in state.items()} == {"row.w": (300,), "col.w": (200,)}


def misplaced() -> str:
    mesh = init_device_mesh("cpu", (dist.get_world_size(),), mesh_dim_names=("dp_shard",))
    parameter = nn.Parameter(distribute_tensor(torch.randn(4, 4), mesh, [Shard(0)]))
    parameter.grad = distribute_tensor(torch.randn(4, 4), mesh, [Replicate()])
    optimizer = build_optimizer(settings("adafactor"), [("w", parameter)])
    with pytest.raises(ValueError) as error:
        optimizer.step()
    return str(error.value)


def test_a_gradient_laid_out_otherwise_is_refused() -> None:
    assert all("gradient placed as" in message for message in run_ranks(misplaced, 2))
