"""The step that runs a small model's Runtime on the GPU, alone in an NCCL group, beside the same on the CPU."""

from collections.abc import Mapping

import torch
from torch import Tensor

from taixue.kernels import dispatch
from taixue.parallel import group
from taixue.parallel.mesh import Layout
from taixue.parallel.runtime import Runtime
from taixue.parallel.shared import local

from ...config.schema import T5Config
from ...models import model_spec
from ..rivals import random_batch
from ..training import Case, tiny_case
from .journal import Bench

RECOMPUTE = ("none", "selective", "full")

LIMITS: Mapping[torch.dtype | None, tuple[float, float]] = {None: (1e-5, 1e-4), torch.bfloat16: (1e-2, 3e-2)}
"""Largest relative error by compute dtype (None: fp32 like the weights): of the loss, of all gradients together."""


def runtime(bench: Bench) -> None:
    """Loss and gradients beside float64 on the CPU: fp32 and bf16, every recompute mode, compiled blocks."""
    device = torch.device(bench.device)
    case = tiny_case()
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1} if bench.dry else {}
    model = T5Config(**case.model.model_dump() | {"dropout": 0.1, **layers})
    group.start(None, device, 120)
    with dispatch.using("reference"):
        exact = _losses_and_gradients(case, model, torch.device("cpu"), torch.float64, None)
    plans = [(dtype, recompute, False) for dtype in LIMITS for recompute in RECOMPUTE]
    plans += [(torch.bfloat16, recompute, True) for recompute in ("none", "selective") if bench.compiled]
    # Where there is no GPU the compiler of CPUs would take longer than all else here.
    torch.compiler.set_stance("force_eager" if bench.dry else "default")
    for dtype, recompute, compiled in plans:
        label = f"{'bf16' if dtype else 'fp32'}, recompute {recompute}{', compiled' if compiled else ''}"
        found = _losses_and_gradients(case, model, device, torch.float32, dtype, recompute, compiled)
        for what, got, wanted, limit in zip(("loss", "gradients"), found, exact, LIMITS[dtype], strict=True):
            bench.at_most(f"{label}: {what}", ((got - wanted).norm() / wanted.norm()).item(), limit)
    group.stop()


def _losses_and_gradients(
    case: Case,
    model: T5Config,
    device: torch.device,
    dtype: torch.dtype,
    compute: torch.dtype | None,
    recompute: str = "none",
    compiled: bool = False,
) -> tuple[Tensor, Tensor]:
    """Mean losses, and all gradients of a step of two micro-batches as one vector; float64 on the CPU."""
    runtime = Runtime(
        model_spec(model, 1, (case.source, case.target)),
        Layout(),
        device,
        micro_batches=2,
        dtype=dtype,
        compute_dtype=compute,
        activation_checkpointing=recompute,
        compile_blocks=compiled,
    )
    runtime.seed(1, 0)
    means = runtime.forward_backward(random_batch(case), torch.tensor([case.samples * case.target]))
    assert means is not None
    gradients = [
        local(p.grad).flatten().double().cpu() for _, p in runtime.named_parameters() if p.grad is not None
    ]
    return means.cpu(), torch.cat(gradients)
