"""May this run go on from that checkpoint? What is learned must not change; where and how fast may."""

from typing import Any

from taixue import UserError

from ..config.schema import RunConfig

# What decides the meaning of weights, optimizer state and sample numbers; anything else may differ.
DECISIVE = ("model", "objective", "seed", "batch.global_size", "optimizer.name")
# Data is compared by content (its fingerprint), not by path.
HARMLESS = ("model.dropout",)


def check(state: dict[str, Any], run: RunConfig, fingerprint: str, where: str) -> None:
    """Raise UserError, naming the key and both values, if `run` cannot continue the checkpoint `where`.

    state is the checkpoint's state.json; fingerprint is that of this run's data. A key the checkpoint does
    not know (it is older than the key) counts as the key's default.
    """
    saved = _flat(state["config"])
    current = _flat(run.model_dump(mode="json"))
    defaults = _flat(_defaults(run).model_dump(mode="json"))
    for key in sorted(saved.keys() | current.keys()):
        if not _decisive(key):
            continue
        before, now = saved.get(key, defaults.get(key)), current.get(key)
        if before != now:
            raise UserError(
                f"{where} was trained with {key} = {before!r}, the configuration says {now!r}: "
                f"set it back to {before!r}, or give the run another name to start afresh"
            )
    if state["fingerprint"] != fingerprint:
        raise UserError(
            f"{where} was trained on other data or another tokenizer (fingerprint "
            f"{state['fingerprint'][:12]}, now {fingerprint[:12]}; tokenizer {saved.get('data.tokenizer')}, now "
            f"{run.data.tokenizer}): use the same corpora, weights and tokenizer, or give the run another name"
        )


def _decisive(key: str) -> bool:
    inside = any(key == section or key.startswith(section + ".") for section in DECISIVE)
    return inside and key not in HARMLESS


def _defaults(run: RunConfig) -> RunConfig:
    """A run of the same model family and objective with every default."""
    return RunConfig(model=type(run.model)(), objective=type(run.objective)())


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix.removesuffix("."): tree}
    return {
        key: value for name, part in tree.items() for key, value in _flat(part, f"{prefix}{name}.").items()
    }
