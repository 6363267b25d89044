"""The end of a corpus build: no split is left empty, corpus.json and flow.json are written, work/ is removed."""

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from taixue.base import UserError

from .. import annotate
from ..clean import cleaner
from taixue.base import files
from ..shards import manifest
from ..config import CorpusBuildConfig
from ..passes import record
from ..passes.contamination import COUNTS, merge_sets
from ..passes.statistics import statistics_path
from .needed import schedule
from ..passes.survivors import CONTAMINATED_FOLDER, contaminated_path
from ..passes.cut import SPLITS, STATISTICS_FOLDER, WORK_FOLDER, InputShard
from ..passes.write import WriteTask

FLOW_FILE = "flow.json"


def finish(config: CorpusBuildConfig, shards: tuple[InputShard, ...], console: Console) -> None:
    """Every shard is there: make the folder a corpus. Ranks that come here together do it one after another."""
    output = Path(config.output)
    with _alone(output):
        _fill_empty_splits(config, shards)
        found = [_manifest(shard, split) for split in SPLITS for shard in shards]
        listing = manifest.CorpusManifest(
            tokenizer=found[0].tokenizer, shards=tuple(shard.entry() for shard in found if shard.documents)
        )
        flow = _flow(config, shards)
        for path in (output / manifest.CORPUS_FILE, output / FLOW_FILE):
            files.remove_temporaries(path)
        files.write(output / FLOW_FILE, files.readable_json(flow))
        manifest.write(output / manifest.CORPUS_FILE, listing)
        _remove_rest(config, shards)
    _report(console, output, shards, flow)


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


def _fill_empty_splits(config: CorpusBuildConfig, shards: tuple[InputShard, ...]) -> None:
    """Give an empty split its one document (a shuffle has done so by itself)."""
    for source in config.sources:
        own = [shard for shard in shards if shard.source.name == source.name]
        counts = {split: sum(_manifest(shard, split).documents for shard in own) for split in SPLITS}
        total = sum(counts.values())
        if total == 0:
            raise UserError(
                f"source {source.name!r}: 0 documents in {', '.join(source.inputs)}; at least 1 is needed"
            )
        wanted = [split for split in SPLITS if counts[split] == 0] if config.validation_fraction else []
        if wanted and total > 1 and not config.shuffle:
            first = next(shard for shard in own if any(_manifest(shard, split).documents for split in SPLITS))
            (Path(config.output) / manifest.CORPUS_FILE).unlink(missing_ok=True)
            *_, last = schedule(shards)
            write = last.tasks[first.index]
            assert isinstance(write, WriteTask)
            for _ in replace(write, shard=replace(first, held_out_first=wanted[0])).run():
                pass


def _manifest(shard: InputShard, split: manifest.Split) -> manifest.ShardManifest:
    return manifest.read_shard(shard.manifest_path(split))


def _flow(config: CorpusBuildConfig, shards: tuple[InputShard, ...]) -> dict[str, Any]:
    """flow.json: what is left of each source after each step.

    {"format", "version", "steps": [{"step", "source", "documents", "bytes", "removed_documents", "removed_bytes",
    "details"}]}, steps in the order of the work. Tokens are in the details of the last step.
    """
    steps = []
    for source in config.sources:
        found = [*_steps(config, [shard for shard in shards if shard.source.name == source.name])]
        for before, after in zip([found[0], *found], found, strict=False):
            steps.append(
                {
                    "step": after.name,
                    "source": source.name,
                    "documents": after.documents,
                    "bytes": after.bytes,
                    "removed_documents": before.documents - after.documents,
                    "removed_bytes": before.bytes - after.bytes,
                    "details": after.details,
                }
            )
    return {"format": "taixue-flow", "version": 1, "steps": steps, "samples": _samples(config, shards)}


class _Step(NamedTuple):
    """What a source has left after a step."""

    name: str
    documents: int
    bytes: int
    details: dict[str, Any]


def _steps(config: CorpusBuildConfig, shards: list[InputShard]) -> Iterator[_Step]:
    """The steps that the shards of one source went through."""
    cleaned = [record.read(statistics_path(shard, "clean")) for shard in shards]
    written = [record.read(statistics_path(shard, "write")) for shard in shards]
    converted: Counter[str] = Counter()
    for entry in cleaned:
        converted.update(entry["read"]["converted"])
    rejected = sum(entry["read"]["rejected"] for entry in cleaned)
    documents, size = _sums([entry["read"] for entry in cleaned])
    yield _Step("read", documents, size, {"rejected": rejected, "converted": dict(sorted(converted.items()))})
    if config.normalize or config.filters:
        documents, size = _sums([entry["filter"] for entry in cleaned])
        details = cleaner.merge([entry["filter"]["details"] for entry in cleaned])
        yield _Step("filter", documents, size, details)
    for name in _removals(config):
        counts = [entry[name] for entry in written]
        gone, gone_size = _sums(counts)
        documents, size = documents - gone, size - gone_size
        is_lines = name == "repeated paragraphs"
        paragraphs = sum(count.get("paragraphs", 0) for count in counts)
        details = {"paragraphs": paragraphs} if is_lines else {}
        if name == "decontaminate":
            details = {"evaluation sets": merge_sets(entry["evaluation sets"] for entry in written)}
        yield _Step(name, documents, size, details)
    made = [_manifest(shard, split) for shard in shards for split in SPLITS]
    details = {"tokens": sum(one.tokens for one in made)}
    if config.annotate:
        counted = [record.read(statistics_path(shard, "annotate")) for shard in shards]
        details["annotation"] = annotate.merge(counted)
    yield _Step("tokenize", sum(one.documents for one in made), sum(one.bytes for one in made), details)


def _sums(counts: list[dict[str, int]]) -> tuple[int, int]:
    """(documents, bytes) of several counts."""
    documents, size = (sum(count.get(key, 0) for count in counts) for key in ("documents", "bytes"))
    return documents, size


def _removals(config: CorpusBuildConfig) -> Iterator[str]:
    """Steps that took documents out of the cleaned ones."""
    if config.deduplicate is not None:
        yield "exact duplicates"
        if config.deduplicate.near:
            yield "near duplicates"
        if config.deduplicate.paragraphs:
            yield "repeated paragraphs"
    if config.decontaminate is not None:
        yield "decontaminate"


def _samples(config: CorpusBuildConfig, shards: tuple[InputShard, ...]) -> dict[str, Any]:
    """Near copies that went, each with the document that was kept instead."""
    if config.deduplicate is None:
        return {}
    path = statistics_folder(config) / "resolve.json"
    return {"near duplicates": record.read(path).get("samples", [])}


def statistics_folder(config: CorpusBuildConfig) -> Path:
    return Path(config.output) / STATISTICS_FOLDER


def _remove_rest(config: CorpusBuildConfig, shards: tuple[InputShard, ...]) -> None:
    """Remove work/, and counts and lists of an earlier configuration."""
    output = Path(config.output)
    names = {statistics_path(shard, step).name for shard in shards for step in ("clean", "write", "annotate")}
    if config.deduplicate is not None:
        names.add("resolve.json")
    for path in statistics_folder(config).iterdir():
        if path.name not in names:
            path.unlink(missing_ok=True)
    if config.decontaminate is None:
        shutil.rmtree(output / CONTAMINATED_FOLDER, ignore_errors=True)
    else:
        lists = {contaminated_path(shard).name for shard in shards}
        for path in (output / CONTAMINATED_FOLDER).iterdir():
            if path.name not in lists:
                path.unlink(missing_ok=True)
    # Another rank may write its last sign of life in between.
    for _ in range(10):
        shutil.rmtree(output / WORK_FOLDER, ignore_errors=True)
        if not (output / WORK_FOLDER).exists():
            return


def _report(console: Console, output: Path, shards: tuple[InputShard, ...], flow: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("source", "split", "documents", "tokens", "MB of text", title=str(output))
    sums: dict[tuple[str, str], Counter[str]] = {}
    for shard in shards:
        for split in SPLITS:
            found = _manifest(shard, split)
            counts = {"documents": found.documents, "tokens": found.tokens, "bytes": found.bytes}
            sums.setdefault((shard.source.name, split), Counter()).update(counts)
    for (source, name), counts in sums.items():
        size = f"{counts['bytes'] / 1e6:.1f}"
        table.add_row(source, name, f"{counts['documents']:,}", f"{counts['tokens']:,}", size)
    console.print(table)
    for step in flow["steps"]:
        if step["removed_documents"] or step["removed_bytes"]:
            console.print(
                f"{step['source']}: {step['step']}: {step['removed_documents']:,} documents, "
                f"{step['removed_bytes'] / 1e6:.2f} MB removed"
            )
    sets = merge_sets(step["details"].get("evaluation sets", {}) for step in flow["steps"])
    if sets:
        table = Table("evaluation set", *COUNTS, title="Evaluation sets: what is looked for, and documents removed")
        for name, entry in sets.items():
            table.add_row(name, *(f"{entry[count]:,}" for count in COUNTS))
        console.print(table)
    rejected = sum(step["details"].get("rejected", 0) for step in flow["steps"])
    if rejected:
        console.print(f"[yellow]{rejected:,} lines were no documents: see {output / 'quarantine'}")
