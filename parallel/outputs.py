"""What a model makes of a batch, whole on every rank that shares it: states and logits, from every layout."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .collectives import gather_sequence
from .engine import Wanted
from .runtime import Runtime


@torch.no_grad()
def outputs(
    runtime: Runtime, batch: Mapping[str, Tensor], wanted: Wanted, micro_batches: int
) -> dict[str, Tensor]:
    """As Engine.outputs. Collectives: the pipeline's, gathers of states over tp where sequences are split, and for each
    output one broadcast from the last stage over pp.
    """
    spec, pipeline = runtime.spec, runtime.pipeline
    last = runtime.parts.get(len(pipeline.layers) - 1)
    caught: dict[str, list[Tensor]] = defaultdict(list)
    with ExitStack() as hooks:
        if last is not None:
            for handle in _catch(last, runtime, wanted, caught):
                hooks.callback(handle.remove)
        runtime.run(batch, micro_batches)
    found: dict[str, Tensor] = {}
    for name, pieces in caught.items():
        # A pipeline's first run has one pass more, on made-up data, to learn shapes.
        whole = torch.cat(pieces[-micro_batches:])
        if name in wanted.states and runtime.layout.sharded_sequence:
            whole = gather_sequence(whole, runtime.mesh.group("tp"))
        entry = spec.outputs[name if name in wanted.states else "states"][1]
        found[name] = whole[:, : batch[entry].shape[1]].contiguous()  # padding is ours
    if runtime.layout.pp > 1:
        return _from_stage(found, pipeline.rank_of[-1], runtime)
    return found


def _catch(last: nn.Module, runtime: Runtime, wanted: Wanted, caught: dict[str, list[Tensor]]) -> list[Any]:
    """Hooks on modules of the last slice that put what is wanted into `caught`, a micro-batch at a time."""

    def keep(name: str) -> Any:
        return lambda module, args: caught[name].append(args[0].detach())

    def head(module: nn.Module, args: Any, out: Any) -> None:
        if not isinstance(out, Tensor):  # sums of losses
            raise ValueError("logits are made of a batch without labels")
        if wanted.logits:
            caught["logits"].append(out)
        if wanted.top_k:
            wide = out.double() if out.dtype == torch.float64 else out.float()
            values, ids = wide.log_softmax(-1).topk(wanted.top_k)
            caught["top_ids"].append(ids)
            caught["top_log_probabilities"].append(values)

    places = [(name, last.get_submodule(runtime.spec.outputs[name][0])) for name in wanted.states]
    handles = [module.register_forward_pre_hook(keep(name)) for name, module in places]
    if wanted.logits or wanted.top_k:
        path = next(path for path, role in runtime.spec.plan.items() if role == "vocabulary-head")
        place = last.get_submodule(path)
        handles.append(place.register_forward_hook(head))
        if wanted.rows:
            few = slice(wanted.rows)
            handles.append(place.register_forward_pre_hook(lambda _, args: (args[0][few], *args[1:])))
    return handles


def _from_stage(found: dict[str, Tensor], stage_rank: int, runtime: Runtime) -> dict[str, Tensor]:
    """What the pipeline's rank `stage_rank` has found, on all ranks of the pipeline."""
    group = runtime.mesh.group("pp")
    source = dist.get_global_rank(group, stage_rank)
    shapes: list[Any] = [{name: (tuple(x.shape), str(x.dtype)) for name, x in found.items()}]
    dist.broadcast_object_list(shapes, source, group)
    for name, (shape, dtype) in shapes[0].items():
        if name not in found:
            kind = getattr(torch, dtype.removeprefix("torch."))
            found[name] = torch.empty(shape, dtype=kind, device=runtime.device)
        dist.broadcast(found[name], source, group)
    return found
