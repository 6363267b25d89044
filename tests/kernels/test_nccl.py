"""A whole step on one GPU, NCCL and FSDP around the kernels, beside the same step on the CPU in float64."""

from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from taixue.kernels import dispatch
from taixue.parallel import group
from taixue.parallel.mesh import Layout
from taixue.parallel.runtime import Runtime
from taixue.pretrain.config.schema import T5Config
from taixue.pretrain.models import model_spec
from taixue.pretrain.verify.batch import random_batch
from taixue.pretrain.verify.comparison import counts

from .machine import DEVICE, KERNELS, needs_gpu

T5 = T5Config().model_copy(
    update={"vocab_size": 96, "d_model": 64, "d_ff": 96, "num_heads": 4, "d_kv": 16, "dropout": 0.1}
    | {"num_encoder_layers": 2, "num_decoder_layers": 2, "relative_buckets": 8}
)
ERRORS = {None: 1e-4, torch.bfloat16: 5e-2}
"""Largest relative L2 error by compute dtype."""


def step(mode: str, device: torch.device, **options: Any) -> dict[str, Tensor]:
    """Of the second step of a rank alone in its group, in two micro-batches: losses, gradient norm and gradients."""
    group.start(None, device, 60)
    try:
        with dispatch.using(mode):
            runtime = Runtime(model_spec(T5, 1, (24, 10)), Layout(), device, micro_batches=2, **options)
            for number in range(2):
                batch = random_batch(T5, 4, number, 24)
                runtime.seed(7, number)
                losses = runtime.forward_backward(batch, counts(T5, batch))
        assert losses is not None
        if device.type == "cuda":
            assert dist.get_backend(runtime.mesh.devices["dp_shard"].get_group()) == "nccl"
        gradients = {
            name: p.grad.full_tensor() for name, p in runtime.named_parameters() if p.grad is not None
        }
        found = {"losses": losses, "norm": runtime.grad_norm(), **gradients}
        return {name: tensor.detach().cpu() for name, tensor in found.items()}
    finally:
        group.stop()
        torch._dynamo.reset()


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    return step("reference", torch.device("cpu"), dtype=torch.float64)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
@pytest.mark.parametrize("compute_dtype", [None, torch.bfloat16], ids=["fp32", "bf16"])
def test_a_step_is_the_cpus(
    compute_dtype: torch.dtype | None, recompute: str, compiled: bool, expected: dict[str, Tensor]
) -> None:
    """With the same bits when it is taken again; bf16: FSDP's mixed precision."""
    options = {
        "compute_dtype": compute_dtype,
        "activation_checkpointing": recompute,
        "compile_blocks": compiled,
    }
    found, again = (step(KERNELS, DEVICE, **options) for _ in range(2))
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, again[name]), name
        difference = (tensor.double() - expected[name]).norm() / expected[name].norm().clamp(min=1e-3)
        assert difference <= ERRORS[compute_dtype], (name, difference)
