"""The one file that touches private names of torch.distributed.pipelining (checked with torch 2.11 to 2.13).

torch moves activations and gradients between stages and drives FSDP around them; the order of passes is ours.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage
from torch.distributed.pipelining.schedules import (
    _Action,
    _add_reduce_grad,
    _add_send_recv,
    _add_unshard_reshard,
    _ComputationType,
    _PipelineScheduleRuntime,
)

from .stages import Order, Pipeline, Task, forward_order

# On an error torch logs the whole schedule from every rank; the exception says enough.
logging.getLogger("torch.distributed.pipelining.schedules").setLevel(logging.CRITICAL)


class Stage(PipelineStage):
    """torch 2.11 first sends a number to the neighbouring stages, even to one of this rank: gloo refuses that."""

    def _get_init_p2p_neighbors_ops(self) -> list[dist.P2POp]:
        return [op for op in super()._get_init_p2p_neighbors_ops() if op.group_peer != self.group_rank]


class PipelineRunner:
    """Runs micro-batches through this rank's stages in the order of `pipeline`.

    With `loss` (last stage's output -> 0-dim tensor) it also runs backward passes; without, forward passes only.
    All ranks of `group` call it together; lengths must stay the same from call to call.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        parts: Mapping[int, nn.Module],
        group: dist.ProcessGroup,
        device: torch.device,
        micro_batches: int,
        loss: Callable[[Tensor], Tensor] | None,
    ) -> None:
        count = len(pipeline.layers)
        stages = [Stage(part, index, count, device, group=group) for index, part in sorted(parts.items())]
        self._last = next((stage for stage in stages if stage.is_last), None)
        self.micro_batches = micro_batches
        self._schedule = _PipelineScheduleRuntime(
            stages,
            micro_batches,
            loss_fn=None if loss is None else lambda output, _: loss(output),
            scale_grads=False,
        )
        order = pipeline.order if loss is not None else forward_order(pipeline.rank_of, micro_batches)
        self._set_order(stages, order, dict(enumerate(pipeline.rank_of)))

    def _set_order(self, stages: list[Stage], order: Order, rank_of: dict[int, int]) -> None:
        """As _prepare_schedule_with_comms, which refuses orders without backward passes."""
        actions: dict[int, list[_Action | None]] = {
            rank: list(_add_unshard_reshard([_action(task) for task in tasks]))
            for rank, tasks in enumerate(order)
        }
        with_reduce = {rank: _add_reduce_grad(tasks, self.micro_batches) for rank, tasks in actions.items()}
        self._schedule.stage_index_to_group_rank = rank_of
        for stage in stages:
            stage.stage_index_to_group_rank = rank_of
        self._schedule.pipeline_order_with_comms = _add_send_recv(
            with_reduce,  # type: ignore[arg-type]
            stage_to_rank=lambda stage: rank_of[stage],
            num_stages=len(rank_of),
        )

    def run(self, batch: Mapping[str, Tensor]) -> list[Any]:
        """batch: every input of the model, first dimension the samples of all micro-batches.

        Returns the last stage's output of each micro-batch when run without loss and the stage is here.
        """
        dummy = next(iter(batch.values())).new_zeros(self.micro_batches)  # torch insists on a target to chunk
        target = dummy if self._last is not None else None
        inputs: dict[str, Any] = dict(batch)
        forward_only = not self._schedule._has_backward
        self._schedule.step(target=target, return_outputs=forward_only, **inputs)
        return list(self._last.output_chunks) if forward_only and self._last is not None else []


def _action(task: Task) -> _Action:
    kind = _ComputationType.FORWARD if task.forward else _ComputationType.FULL_BACKWARD
    return _Action(task.stage, kind, task.micro)
