"""From the configuration to the engine: device, layout, precision, optimizer."""

import os

import torch
import torch.distributed as dist

from taixue.base import UserError
from taixue.kernels import fp8
from taixue.parallel.loss_scale import LossScaler
from taixue.parallel.mesh import Layout
from taixue.parallel.native import NativeEngine
from taixue.parallel.ranks import Ranks, device_number
from taixue.parallel.runtime import Runtime

from ..config.schema import ComputeConfig, RunConfig
from ..models import ModelSpec
from ..optim import build_optimizer


def choose_device(run: RunConfig, ranks: Ranks | None) -> torch.device:
    """The device of this rank. Raises UserError if it is asked for and not there."""
    wanted = run.compute.device
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    number = device_number(ranks, count := torch.cuda.device_count())
    if number is None:
        raise UserError(
            f"compute.device: {wanted}, but {ranks.local_world if ranks else 1} ranks were started on a machine with "
            f"{count} CUDA devices: start one rank per device, or set compute.device to cpu"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def build_engine(run: RunConfig, spec: ModelSpec, device: torch.device) -> NativeEngine:
    """The run's engine on this rank. Its weights have no values yet: a checkpoint, or set_weights, gives them.

    Collective: creates the process groups of the layout.
    """
    compute, batch = run.compute, run.batch
    if compute.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        # Every element of an empty tensor is written before it is read; torch would fill each first.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    layout = layout_of(run)
    runtime = Runtime(
        spec,
        layout,
        device,
        micro_batches=batch.global_size // (layout.dp_replicate * layout.dp_shard * batch.micro_size),
        dtype=torch.float64 if compute.float64 else torch.float32,
        compute_dtype={"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[compute.precision],
        activation_checkpointing=compute.activation_checkpointing,
        compile_blocks=compute.compile,
        eight_bits=_eight_bits(compute, device),
        keep_gathered=run.parallel.keep_gathered,
        reduce_every_micro_batch=run.parallel.reduce_every_micro_batch,
        initialise=False,
    )
    optimizer = build_optimizer(run.optimizer, runtime.named_parameters())
    scaler = LossScaler() if compute.precision == "fp16" else None
    return NativeEngine(runtime, optimizer, clip_norm=run.optimizer.clip_norm, scaler=scaler)


def _eight_bits(compute: ComputeConfig, device: torch.device) -> str | None:
    if compute.fp8 == "off":
        return None
    if reason := fp8.obstacle(device):
        raise UserError(f"compute.fp8: {compute.fp8}: {reason}; set it to off")
    return compute.fp8


def layout_of(run: RunConfig) -> Layout:
    """That of the run, on the ranks that are there: dp_shard 0 takes the rest."""
    parallel = run.parallel
    rest = dist.get_world_size() // (parallel.pp * parallel.dp_replicate * parallel.tp)
    return Layout(
        pp=parallel.pp,
        dp_replicate=parallel.dp_replicate,
        dp_shard=parallel.dp_shard or rest,
        tp=parallel.tp,
        sequence_parallel=parallel.sequence_parallel,
        schedule=parallel.pipeline_schedule,
    )
