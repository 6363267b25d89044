"""How the weights of a card came about: rows and a section, from the checkpoint's state and the run's history."""

from pathlib import Path

from ..objectives import OBJECTIVES
from .trained import Trained

_LEARNED_BY = ("model.", "optimizer.", "schedule.", "steps", "compute.precision", "compute.fp8", "knowledge.")
"""How the names of keys begin that starts may change and that bear on what is learned. No paths among them."""


def samples(trained: Trained) -> str:
    """How many, and the arrays of one."""
    count = f"{trained.samples:,}"
    if trained.objective is None:
        return f"{count} (of a shape that the checkpoint does not record)"
    shapes = trained.objective.shapes
    source, target = shapes["input_ids"][0], shapes.get("decoder_input_ids")
    words = f"{source} input and {target[0]} target tokens" if target else f"{source} tokens"
    return f"{count} of {words}"


def tokens(trained: Trained) -> str:
    """A row, where it is known how many raw tokens a sample has."""
    if trained.objective is None:
        return ""
    return f"| tokens seen | {trained.samples * trained.objective.raw_length:,} (raw, before masking) |\n"


def objective(trained: Trained) -> str:
    """What was learned, in words."""
    return (
        trained.objective.words
        if trained.objective
        else OBJECTIVES.of(trained.run.objective).describe(trained.run.objective)
    )


def origin(trained: Trained) -> str:
    """Where the weights came from, by the run's history; only without one, by its configuration."""
    run, starts = trained.run, trained.starts
    if starts and starts[0].origin.kind == "seed":
        return f"random weights, seed {starts[0].origin.seed}"
    if starts and starts[0].origin.kind == "folder":
        return f"{Path(starts[0].origin.path).name}, digest `{starts[0].origin.digest}`"
    folder = run.init_from
    if starts:  # what later starts said was not looked at
        folder = starts[0].changes.get("init_from", (starts[0].config.get("init_from") or "",))[0]
    said = Path(folder).name if folder else f"random weights, seed {run.seed}"
    return f"{said} (by the configuration: the run has no record of its first start)"


def code(trained: Trained) -> str:
    """A row with every version of Taixue and torch that took part, where the history names them."""
    versions: dict[str, None] = {}
    for start in trained.starts:
        ours = start.code
        revision = f" ({ours.revision[:12]}{', changed' if ours.dirty else ''})" if ours.revision else ""
        versions[f"Taixue {ours.version}{revision} with torch {start.software.get('torch', '?')}"] = None
    return f"| trained by | {', then '.join(versions)} |\n" if versions else ""


def changes(trained: Trained) -> str:
    """A section with the settings that later starts changed, of those that bear on what is learned."""
    rows = [
        f"| {start.step:,} | {key} | {before} | {now} |\n"
        for start in trained.starts
        for key, (before, now) in start.changes.items()
        if key.startswith(_LEARNED_BY)
    ]
    if not rows:
        return ""
    table = f"| after step | setting | from | to |\n|---|---|---|---|\n{''.join(rows)}"
    return f"\n## Changed on the way\n\nThe configuration below is the last one.\n\n{table}"
