"""The end of a corpus build: no split is empty, what is no part of the corpus goes, corpus.json and flow.json come."""

import fcntl
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from taixue.base import UserError, files
from taixue.base.charts import counted

from .. import annotate
from ..config import CorpusBuildConfig
from ..passes.contamination import merge_sets, summary
from ..passes.cut import SPLITS, InputShard
from ..passes.splits import moved_keys, split_keys
from ..passes.write import WriteTask
from ..shards import indexed, manifest
from . import inputs, leftovers
from .flow import FLOW_FILE, empty_sources, flow, nothing_left
from .needed import schedule
from .outline import Outline


def finish(
    config: CorpusBuildConfig, shards: tuple[InputShard, ...], plan: Outline, console: Console
) -> None:
    """Every shard is there: make the folder a corpus. Ranks that come here together do it one after another."""
    output = Path(config.output)
    with _alone(output):
        _fill_empty_splits(config, shards, plan)
        made = [_manifest(shard, split) for split in SPLITS for shard in shards]
        listing = manifest.CorpusManifest(
            tokenizer=made[0].tokenizer,
            extractor=max(shard.extractor for shard in shards),
            shards=tuple(shard.entry() for shard in made if shard.documents),
        )
        found = flow(output, plan)
        for path in (output / manifest.CORPUS_FILE, output / FLOW_FILE):
            files.remove_temporaries(path)
        if not _is_listed(output, listing):
            (output / manifest.CORPUS_FILE).unlink(missing_ok=True)
            leftovers.remove_report(output)
        leftovers.remove(output, config, plan, listing)
        files.write(output / FLOW_FILE, files.readable_json(found))
        manifest.write(output / manifest.CORPUS_FILE, listing)
    _report(console, output, shards, found)


def _is_listed(output: Path, listing: manifest.CorpusManifest) -> bool:
    """Whether corpus.json says this already."""
    try:
        return manifest.read_corpus(output) == listing
    except UserError:
        return False


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time, where the file system has locks; elsewhere all write the same bytes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fill_empty_splits(config: CorpusBuildConfig, shards: tuple[InputShard, ...], plan: Outline) -> None:
    """Give an empty split a document of the other, and all its copies (a shuffle has done so by itself)."""
    if not any(_manifest(shard, split).documents for shard in shards for split in SPLITS):
        raise nothing_left(Path(config.output), plan)
    if config.shuffle:
        return
    moved = moved_keys(shards)
    others = [
        shard
        for shard in shards
        if {key for split in SPLITS for key in _manifest(shard, split).moved}
        != moved & _keys(shard, bool(moved))
    ]
    if not others:  # as it nearly always is, and for the ranks that come later: work/ may be gone
        return
    (Path(config.output) / manifest.CORPUS_FILE).unlink(missing_ok=True)
    *_, last = schedule(shards)
    for shard in others:
        write = last.tasks[shard.index]
        assert isinstance(write, WriteTask)
        for _ in replace(write, shard=replace(shard, moved=moved)).run():
            pass


def _keys(shard: InputShard, wanted: bool) -> set[int]:
    """Of the documents of a shard, if they are wanted."""
    found: set[int] = set()
    for split in SPLITS if wanted else ():
        if _manifest(shard, split).documents:
            reader = indexed.Reader(shard.manifest_path(split).with_suffix(""))
            found |= set(split_keys(reader.tokens, reader.lengths, shard.config.seed).tolist())
    return found


def _manifest(shard: InputShard, split: manifest.Split) -> manifest.ShardManifest:
    return manifest.read_shard(shard.manifest_path(split))


def _report(console: Console, output: Path, shards: tuple[InputShard, ...], found: dict[str, Any]) -> None:
    """found: flow.json."""
    from rich.markup import escape
    from rich.table import Table

    steps = found["steps"]

    def say(line: str, style: str = "") -> None:
        console.print(escape(line), style=style, soft_wrap=True, highlight=False)

    table = Table("source", "split", "documents", "tokens", "MB of text", title=str(output))
    sums: dict[tuple[str, str], Counter[str]] = {}
    for shard in shards:
        for split in SPLITS:
            made = _manifest(shard, split)
            counts = {"documents": made.documents, "tokens": made.tokens, "bytes": made.bytes}
            sums.setdefault((shard.source.name, split), Counter()).update(counts)
    for (source, name), counts in sums.items():
        size = f"{counts['bytes'] / 1e6:.1f}"
        table.add_row(source, name, f"{counts['documents']:,}", f"{counts['tokens']:,}", size)
    console.print(table)
    for source, taken in empty_sources(steps).items():
        say(f"source {source!r} is empty: {taken}", "yellow")
    for step in steps:
        if step["removed_documents"] or step["removed_bytes"]:
            documents = counted(step["removed_documents"], "document")
            say(
                f"{step['source']}: {step['step']}: {documents}, {step['removed_bytes'] / 1e6:.2f} MB removed"
            )
    for step in steps:
        for remark in inputs.remarks(step["details"]):
            say(f"{step['source']}: {remark}")
    sets = merge_sets(step["details"].get("evaluation sets", {}) for step in steps)
    if sets:
        rows = {name: summary(entry) for name, entry in sets.items()}
        table = Table(
            "evaluation set",
            *next(iter(rows.values())),
            title="Evaluation sets, and documents taken for them",
        )
        for name, row in rows.items():
            table.add_row(name, *(f"{count:,}" for count in row.values()))
        console.print(table)
    for line in annotate.remarks(found["external"]):
        say(line)
    rejected = sum(step["details"].get("rejected", 0) for step in steps)
    if rejected:
        lines = counted(rejected, "line was no document", "lines were no documents")
        say(f"{lines}: see {output / 'quarantine'}", "yellow")
