"""What a step counted in an input shard: stats/<shard>.<step>.json."""

from pathlib import Path

from taixue.base import files

from .cut import STATISTICS_FOLDER, InputShard


def statistics_path(shard: InputShard, step: str) -> Path:
    """File of counts of one step of an input shard."""
    return shard.output / STATISTICS_FOLDER / f"{shard.base}.{step}.json"


def write_statistics(shard: InputShard, step: str, facts: dict[str, object]) -> None:
    """Publish them, with the stamp of what they are counts of."""
    path = statistics_path(shard, step)
    path.parent.mkdir(exist_ok=True)
    files.remove_temporaries(path)
    stamp = shard.cleaned if step == "clean" else shard.stamp
    files.write(path, files.readable_json({"stamp": stamp} | facts))
