"""What makes a run need less memory: changes of its configuration that are legal and learn the same. No torch."""

from collections.abc import Iterator
from typing import Any

from taixue.base import UserError

from .schema import RunConfig
from .validate import validate

_MORE_RECOMPUTED = {"none": "selective", "selective": "full"}


def less_memory(run: RunConfig, world: int) -> str:
    """What to set, for a person; the easiest first."""
    found = [words for changes, words in _ideas(run) if _is_legal(run, changes, world)]
    return (
        "set " + ", or ".join(found) if found else "a smaller model, shorter samples or more ranks are left"
    )


def _ideas(run: RunConfig) -> Iterator[tuple[dict[str, dict[str, Any]], str]]:
    micro, parallel = run.batch.micro_size, run.parallel
    for smaller in (size for size in range(micro // 2, 0, -1) if micro % size == 0):
        yield {"batch": {"micro_size": smaller}}, f"batch.micro_size to {smaller} (now {micro})"
        break
    now = run.compute.activation_checkpointing
    if more := _MORE_RECOMPUTED.get(now):
        yield (
            {"compute": {"activation_checkpointing": more}},
            f"compute.activation_checkpointing to {more} (now {now})",
        )
    if parallel.dp_replicate > 1 and parallel.dp_shard:
        shards = parallel.dp_replicate * parallel.dp_shard
        yield (
            {"parallel": {"dp_replicate": 1, "dp_shard": shards}},
            f"parallel.dp_replicate to 1 and dp_shard to {shards}: each rank keeps 1/{shards} of the weights, "
            "gradients and optimizer states",
        )
    elif parallel.dp_shard % 2 == 0:  # 0 takes the ranks that are left
        changes = {"tp": parallel.tp * 2, "dp_shard": parallel.dp_shard // 2}
        yield {"parallel": changes}, f"parallel.tp to {changes['tp']} and dp_shard to {changes['dp_shard']}"


def _is_legal(run: RunConfig, changes: dict[str, dict[str, Any]], world: int) -> bool:
    update = {section: getattr(run, section).model_copy(update=keys) for section, keys in changes.items()}
    try:
        validate(run.model_copy(update=update), world)
    except UserError:
        return False
    return True
