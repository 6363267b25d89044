"""One rank's share of a model and of every step: the place where all kinds of parallelism meet."""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from taixue.kernels.dropout.places import Streams

from .blocks import blocks, checkpoint_activations, shard, take_in_eight_bits
from .gradients import GlobalNorm
from .mesh import Layout, Mesh
from .shared import SharedParameters, local
from .stages import Pipeline, Task, choose_pipeline
from .tensor import apply_tensor_parallel
from .torch_pipeline import PipelineRunner
from .transfer import to_device

# Gathering a weight that is split twice takes two all-gathers, which torch finds worth a warning each time.
logging.getLogger("torch.distributed.tensor._redistribute").setLevel(logging.ERROR)
# A stage hands on the encoder's states untouched; nothing modifies them in place.
warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
# torch's own modules still call names that torch 2.13 deprecates.
warnings.filterwarnings(
    "ignore", message=".*is deprecated. Please use `torch.distributed", category=FutureWarning
)


class Spec(Protocol):
    """What a model tells about itself; see pretrain.models.ModelSpec."""

    @property
    def build(self) -> Callable[[range | None], nn.Module]: ...
    @property
    def plan(self) -> Mapping[str, str]: ...
    @property
    def layer_costs(self) -> tuple[float, ...]: ...
    @property
    def init(self) -> Callable[[str, tuple[int, ...]], Tensor]: ...
    @property
    def loss_names(self) -> tuple[str, ...]: ...
    @property
    def pad(self) -> Callable[[Mapping[str, Tensor], int], dict[str, Tensor]]: ...
    @property
    def outputs(self) -> Mapping[str, tuple[str, str]]: ...


class Runtime:
    """The stages of this rank, ready to compute losses and gradients of global batches.

    All ranks of the process group construct it and call its methods together.
    """

    def __init__(
        self,
        spec: Spec,
        layout: Layout,
        device: torch.device,
        *,
        micro_batches: int,
        dtype: torch.dtype = torch.float32,
        compute_dtype: torch.dtype | None = None,
        activation_checkpointing: str = "none",
        compile_blocks: bool = False,
        eight_bits: str | None = None,
        keep_gathered: bool = False,
        reduce_every_micro_batch: bool = False,
        initialise: bool = True,
    ) -> None:
        """micro_batches: forward passes of a rank in each step. dtype: of weights and gradients; compute_dtype: of
        activations, None for the same. eight_bits: how the layers' large products are scaled to eight bits, a Scaling
        of kernels.fp8; None: they are not. keep_gathered: weights are gathered once a step, as pipelines always do.
        reduce_every_micro_batch: gradients are reduced with each, not once a step as pipelines always do. initialise:
        give weights their starting values; without, they are NaN until something is written into them."""
        self.spec, self.layout, self.device, self.micro_batches = spec, layout, device, micro_batches
        self.keep_gathered = keep_gathered or layout.pp > 1
        self.reduce_every_micro_batch = reduce_every_micro_batch
        self.mesh = Mesh(layout, device.type)
        self.pipeline = self._cut()
        self.parts: dict[int, nn.Module] = {}
        self._streams: list[Streams] = []
        names_by_stage = []
        for stage, layers in enumerate(self.pipeline.layers):
            with torch.device("meta"):
                part = spec.build(layers).to(dtype)
            names_by_stage.append([name for name, _ in part.named_parameters()])
            if self.pipeline.rank_of[stage] == self.mesh.pp_rank:
                streams = Streams(part)
                self._parallelize(part, eight_bits, activation_checkpointing, compile_blocks, compute_dtype)
                self.parts[stage] = part.to_empty(device=device).train()
                streams.open(device)
                self._streams.append(streams)
        # Walked once: modules hand out the same parameters between steps, and a step asks several times.
        self._named = tuple(item for part in self.parts.values() for item in part.named_parameters())
        self.shared = SharedParameters(
            names_by_stage, self.pipeline.rank_of, self.mesh.pipelines(), self.parts
        )
        counted = [parameter for _, parameter in self._named if not self.shared.is_replica(parameter)]
        self._norm = GlobalNorm(counted, device)
        if initialise:
            self.load(spec.init)
        else:
            self._forget_weights()
        self._normaliser = torch.ones((), dtype=torch.float64)
        self._sums: list[Tensor] = []
        self._train_pipeline, self._eval_pipelines = None, dict[object, PipelineRunner]()
        if layout.pp > 1:
            group = self.mesh.group("pp")
            self._train_pipeline = PipelineRunner(
                self.pipeline, self.parts, group, device, micro_batches, self._weigh
            )

    def _cut(self) -> Pipeline:
        if self.layout.pp > 1:
            return choose_pipeline(
                self.spec.layer_costs, self.layout.pp, self.micro_batches, self.layout.schedule
            )
        everything = (range(len(self.spec.layer_costs)),)
        return Pipeline("none", everything, (0,), ((Task(True, 0, 0),),), 1.0, 1.0)

    def _parallelize(
        self,
        part: nn.Module,
        eight_bits: str | None,
        checkpointing: str,
        compile_blocks: bool,
        compute_dtype: torch.dtype | None,
    ) -> None:
        """The recipe, in the order torch needs."""
        layout, devices = self.layout, self.mesh.devices
        if layout.tp > 1:
            apply_tensor_parallel(part, self.spec.plan, devices["tp"], layout.sharded_sequence)
        for block in blocks(part):
            if eight_bits is not None:
                take_in_eight_bits(block, eight_bits)
            if checkpointing != "none":
                checkpoint_activations(block, checkpointing)
            if compile_blocks:
                block.compile()
        axes = devices["dp_replicate", "dp_shard"] if layout.dp_replicate > 1 else devices["dp_shard"]
        shard(part, axes, compute_dtype, self.keep_gathered)

    # -- parameters ---------------------------------------------------------------------------------------------------

    def named_parameters(self) -> Sequence[tuple[str, nn.Parameter]]:
        """Every parameter this rank holds, replicas included, by global name."""
        return self._named

    @torch.no_grad()
    def load(self, value: Callable[[str, tuple[int, ...]], Tensor]) -> None:
        """Set every parameter from its full value: value(name, global shape). No communication."""
        for name, parameter in self.named_parameters():
            full = value(name, tuple(parameter.shape))
            assert full.shape == parameter.shape, (name, full.shape, parameter.shape)
            local(parameter).copy_(local_slice(full, parameter))

    @torch.no_grad()
    def _forget_weights(self) -> None:
        for _, parameter in self.named_parameters():
            local(parameter).fill_(float("nan"))

    def check_weights(self) -> None:
        """RuntimeError for parameters with entries that are not numbers: nothing was written there."""
        unset = [name for name, parameter in self.named_parameters() if local(parameter).isnan().any()]
        if unset:
            raise RuntimeError(f"nothing was written into {', '.join(unset[:4])} ({len(unset)} parameters)")

    # -- steps --------------------------------------------------------------------------------------------------------

    def forward_backward(
        self,
        batch: Mapping[str, Tensor],
        counts: Tensor,
        weights: Tensor | None = None,
        *,
        scale: float = 1.0,
        should_stop: Callable[[], bool] | None = None,
    ) -> Tensor | None:
        """Gradients of sum_i weights[i] * (loss sum i / counts[i]), over the batches of all data-parallel ranks.

        batch: this data-parallel rank's samples of the step, all micro-batches, the same on its tp and pp ranks.
        counts (n_losses,): predictions in the global batch. scale multiplies gradients (fp16). Returns the global mean
        losses (n_losses,) in float64, the same on every rank. Gradients are reduced over all ranks, shared parameters
        included. should_stop is asked before each micro-batch when there is no pipeline; on True the step is given
        up: gradients are dropped and None is returned.
        """
        counts = to_device(counts.double(), self.device).clamp(min=1)
        weights = torch.ones_like(counts) if weights is None else to_device(weights.double(), self.device)
        # FSDP averages over data-parallel ranks, the loss is a global sum.
        self._normaliser = weights / counts * self.mesh.dp_size * scale
        self._sums.clear()
        self.zero_grad()
        batch = self._numbered(self._prepare(batch))
        if self._train_pipeline is not None:
            self._train_pipeline.run(batch)
        elif not self._accumulate(batch, should_stop):
            self.zero_grad()
            return None
        self.shared.sum_gradients()
        # A pipeline's first step runs the loss once more, on made-up data, to learn shapes.
        return self._reduce(self._sums[-self.micro_batches :]) / counts

    def evaluate(self, batch: Mapping[str, Tensor], micro_batches: int = 1) -> Tensor:
        """Loss sums (n_losses,) in float64 over the batches of all data-parallel ranks, without dropout."""
        return self._reduce(self.run(batch, micro_batches))

    @torch.no_grad()
    def run(self, batch: Mapping[str, Tensor], micro_batches: int) -> list[Any]:
        """What the last slice returns for each micro-batch, without dropout; nothing where another rank has it."""
        for part in self.parts.values():
            part.eval()
        batch = self._prepare(batch)
        if self._train_pipeline is None:
            found = [self.parts[0](**micro) for micro in _micro_batches(batch, micro_batches)]
        else:
            found = self._eval_pipeline(batch, micro_batches).run(batch)
        for part in self.parts.values():
            part.train()
        return found

    def grad_norm(self) -> Tensor:
        """Global L2 norm of the gradients, 0-dim float64, the same on every rank."""
        return self._norm()

    @torch.no_grad()
    def scale_grads(self, factor: Tensor) -> None:
        """Multiply every gradient by a 0-dim tensor."""
        grads = [
            local(parameter.grad) for _, parameter in self.named_parameters() if parameter.grad is not None
        ]
        torch._foreach_mul_(grads, factor.to(grads[0].dtype))

    def zero_grad(self) -> None:
        for _, parameter in self.named_parameters():
            parameter.grad = None

    def seed(self, seed: int, step: int) -> None:
        """Decide the dropout of the step: a function of these, the sample and the place in the model, of no layout."""
        for streams in self._streams:
            streams.seed(seed, step)

    # -- inside a step ------------------------------------------------------------------------------------------------

    def _prepare(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """On the device; lengths padded where sequence shards need it."""
        moved = {name: to_device(tensor, self.device) for name, tensor in batch.items()}
        return self.spec.pad(moved, self.layout.tp) if self.layout.sharded_sequence else moved

    def _numbered(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """With `samples`, the number of each row in the global batch, where anything drops out."""
        if not any(self._streams):
            return batch
        size = len(next(iter(batch.values())))
        first = self.mesh.dp_rank * size
        return batch | {"samples": torch.arange(first, first + size, device=self.device)}

    def _accumulate(self, batch: Mapping[str, Tensor], should_stop: Callable[[], bool] | None) -> bool:
        part = self.parts[0]
        assert isinstance(part, FSDPModule)
        for index, micro in enumerate(_micro_batches(batch, self.micro_batches)):
            if should_stop is not None and should_stop():
                return False
            last = index == self.micro_batches - 1
            part.set_requires_gradient_sync(last or self.reduce_every_micro_batch)
            part.set_reshard_after_backward(last or not self.keep_gathered)
            self._weigh(part(**micro)).backward()
        return True

    def _weigh(self, sums: Tensor) -> Tensor:
        """The last stage's loss sums (n_losses,) -> what is differentiated; sums are recorded on the way."""
        self._sums.append(sums.detach())
        return (sums * self._normaliser.to(sums.dtype)).sum()

    def _reduce(self, sums: list[Tensor]) -> Tensor:
        """Sum over micro-batches and data-parallel ranks, known to every rank: one all-reduce over the world."""
        mine = torch.zeros(len(self.spec.loss_names), dtype=torch.float64, device=self.device)
        if self.mesh.tp_rank == 0:
            for micro in sums:
                mine += micro
        self.own_losses = mine.clone()
        dist.all_reduce(mine)
        return mine

    def _eval_pipeline(self, batch: Mapping[str, Tensor], micro_batches: int) -> PipelineRunner:
        """One for each form of batch: what stages hand on, and what the last one returns, depends on it."""
        form = (micro_batches, tuple((name, tensor.shape) for name, tensor in batch.items()))
        if form not in self._eval_pipelines:
            group = self.mesh.group("pp")
            runner = PipelineRunner(self.pipeline, self.parts, group, self.device, micro_batches, None)
            self._eval_pipelines[form] = runner
        return self._eval_pipelines[form]


def local_slice(full: Tensor, parameter: Tensor) -> Tensor:
    """This rank's part of a full value that is placed like `parameter`.

    Tensor parallelism cuts first, FSDP cuts what is left: the order that DTensor's strided shards stand for.
    """
    if not isinstance(parameter, DTensor):
        return full
    mesh, names = parameter.device_mesh, parameter.device_mesh.mesh_dim_names or ()
    for axis in ("tp", "dp_shard"):
        if axis in names:
            place, dimension = parameter.placements[names.index(axis)], names.index(axis)
            if not place.is_replicate():
                cut: int = place.dim  # type: ignore[attr-defined]  # Shard and torch's private _StridedShard
                full = _chunk(full, cut, mesh.size(dimension), mesh.get_local_rank(dimension))
    return full


def _chunk(tensor: Tensor, dimension: int, count: int, index: int) -> Tensor:
    """torch.chunk, with empty parts where the dimension is too short."""
    parts = tensor.chunk(count, dimension)
    return parts[index] if index < len(parts) else tensor.narrow(dimension, 0, 0)


def _micro_batches(batch: Mapping[str, Tensor], count: int) -> list[dict[str, Tensor]]:
    chunks = {name: tensor.chunk(count) for name, tensor in batch.items()}
    return [{name: parts[index] for name, parts in chunks.items()} for index in range(count)]
