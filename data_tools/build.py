"""`taixue corpus build`: text files -> numbered token shards and corpus.json.

The inputs are cut into input shards by names and sizes alone, and each becomes a train and a validation shard
under temporary names, renamed when finished; <shard>.json comes last and says what it was made from. So a
rerun, after a kill too, makes exactly what is missing or was made from something else, and the result has the
same bytes.
"""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from time import monotonic

from rich.console import Console

from taixue import UserError

from . import files, manifest, workers
from .config import CorpusBuildConfig
from .plan import SPLITS, InputShard, plan
from .shard import is_finished, make_shard
from .tokenizer import load_tokenizer


def build(config: CorpusBuildConfig, rank: int = 0, world: int = 1) -> Path:
    """Make the shards of this rank; return the corpus folder. Ranks share only the folder, in any order.

    The rank that finishes last writes corpus.json; it exists exactly when every shard does.
    UserError for inputs that cannot be used (see read.documents), no document at all, or a dead worker.
    """
    if not 0 <= rank < world:
        raise UserError(f"rank {rank} of {world}: ranks count from 0 to {world - 1}")
    console = Console()
    output = Path(config.output)
    tokenizer = load_tokenizer(config.tokenizer)
    shards = plan(config, tokenizer)
    try:
        (output / "quarantine").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output {str(output)!r} cannot be written: {error.strerror}") from None
    mine = shards[rank::world]
    missing = [shard for shard in mine if not is_finished(shard)]
    if missing:
        (output / manifest.CORPUS_FILE).unlink(missing_ok=True)
    console.print(
        f"{output}: {len(shards)} input shards, {len(mine)} of them for rank {rank} of {world}, "
        f"{len(mine) - len(missing)} finished before"
    )
    _make(missing, config.workers or os.cpu_count() or 1)
    unfinished = [shard for shard in shards if not is_finished(shard)]
    if unfinished:
        console.print(
            f"rank {rank} is done; {len(unfinished)} shards of other ranks are missing, {unfinished[0]} first"
        )
    else:
        _finish(config, shards)
        _report(console, output, shards)
    return output


def _make(shards: list[InputShard], processes: int) -> None:
    from rich import progress

    expected = sum(shard.text_bytes for shard in shards)
    columns = (
        progress.TextColumn("tokenizing"),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[done]:,.0f} MB of text, {task.fields[speed]:.1f} MB/s"),
        progress.TimeElapsedColumn(),
    )
    start, done = monotonic(), 0
    with progress.Progress(*columns, disable=not shards) as bar:
        task = bar.add_task("", total=expected, done=0.0, speed=0.0)
        for amount in workers.run(make_shard, shards, processes):
            done += amount
            speed = done / max(monotonic() - start, 1e-9) / 1e6
            bar.update(task, completed=min(done, expected), done=done / 1e6, speed=speed)
        bar.update(task, completed=expected)


def _finish(config: CorpusBuildConfig, shards: list[InputShard]) -> None:
    """Give an empty split its one document, then write corpus.json."""
    for source in config.sources:
        own = [shard for shard in shards if shard.source == source.name]
        counts = {split: sum(_manifest(shard, split).documents for shard in own) for split in SPLITS}
        total = sum(counts.values())
        if total == 0:
            raise UserError(
                f"source {source.name!r}: 0 documents in {', '.join(source.inputs)}; at least 1 is needed"
            )
        wanted = [split for split in SPLITS if counts[split] == 0] if config.validation_fraction else []
        if wanted and total > 1:
            first = next(shard for shard in own if any(_manifest(shard, split).documents for split in SPLITS))
            (Path(config.output) / manifest.CORPUS_FILE).unlink(missing_ok=True)
            for _ in make_shard(replace(first, held_out_first=wanted[0])):
                pass
    found = [_manifest(shard, split) for split in SPLITS for shard in shards]
    listing = manifest.CorpusManifest(
        tokenizer=found[0].tokenizer, shards=tuple(shard.entry() for shard in found if shard.documents)
    )
    path = Path(config.output) / manifest.CORPUS_FILE
    files.remove_temporaries(path)
    manifest.write(path, listing)


def _manifest(shard: InputShard, split: manifest.Split) -> manifest.ShardManifest:
    return manifest.read_shard(shard.manifest_path(split))


def _report(console: Console, output: Path, shards: list[InputShard]) -> None:
    from rich.table import Table

    table = Table("source", "split", "documents", "tokens", "MB of text", title=str(output))
    sums: dict[tuple[str, str], Counter[str]] = {}
    rejected = 0
    for shard in shards:
        for split in SPLITS:
            found = _manifest(shard, split)
            counts = {"documents": found.documents, "tokens": found.tokens, "bytes": found.bytes}
            sums.setdefault((shard.source, split), Counter()).update(counts)
        rejected += sum(piece.rejected for piece in found.inputs)
    for (source, name), counts in sums.items():
        size = f"{counts['bytes'] / 1e6:.1f}"
        table.add_row(source, name, f"{counts['documents']:,}", f"{counts['tokens']:,}", size)
    console.print(table)
    if rejected:
        console.print(f"[yellow]{rejected:,} lines were no documents: see {output / 'quarantine'}")
