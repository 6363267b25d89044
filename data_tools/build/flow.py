"""What is left of each source after each step of a build, and which rule took the rest: flow.json.

{"format", "version", "steps": [{"step", "source", "documents", "bytes", "removed_documents", "removed_bytes",
"details"}], "samples", "external"}, steps in the order of the work. Details of the first step: inputs.py; of filter:
what each rule took; of decontaminate: contamination.COUNTS; of the last: tokens and annotation. external: what became
of the records of external annotation, which are for all sources together (annotate.external.together); {} without any.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from taixue.base import UserError
from taixue.base.charts import counted

from .. import annotate
from ..clean import cleaner
from ..passes import record
from ..passes.contamination import merge_sets
from ..passes.cut import SPLITS, STATISTICS_FOLDER
from ..shards import manifest
from . import inputs
from .outline import Outline, ShardOutline, SourceOutline

FLOW_FILE = "flow.json"
_NAMED = 5


@dataclass(frozen=True)
class Made:
    """What there is of one input shard, made from what the outline says."""

    folder: Path
    shard: ShardOutline

    def counts(self, step: str) -> dict[str, Any]:
        """Of a step; {} before it is done."""
        found = record.read(self.folder / STATISTICS_FOLDER / f"{self.shard.base}.{step}.json")
        stamp = found.pop("stamp", None)
        return found if stamp == (self.shard.cleaned if step == "clean" else self.shard.stamp) else {}

    def manifests(self) -> list[manifest.ShardManifest]:
        """Of the splits that are finished."""
        paths = [self.folder / f"{split}-{self.shard.base}.json" for split in SPLITS]
        found = [manifest.read_shard(path) for path in paths if path.is_file()]
        return [one for one in found if one.stamp == self.shard.stamp]


def flow(folder: Path, outline: Outline) -> dict[str, Any]:
    """flow.json of what is made so far. A step counts the shards that have come through it."""
    steps = [step for source in outline.sources for step in _steps(folder, source)]
    samples: dict[str, Any] = {}
    if any("near duplicates" in source.steps for source in outline.sources):
        found = record.read(folder / STATISTICS_FOLDER / "resolve.json")
        samples["near duplicates"] = found.get("samples", [])
    made = [Made(folder, shard) for source in outline.sources for shard in source.shards]
    external = annotate.together([one.counts("annotate") for one in made])
    return {"format": "taixue-flow", "version": 1, "steps": steps, "samples": samples, "external": external}


def nothing_left(folder: Path, outline: Outline) -> UserError:
    """Why a corpus ends with no document, once its shards have come so far as to show it."""
    said = []
    for source in outline.sources:
        steps = [*_steps(folder, source)]
        said.append(f"source {source.name!r}: {_taken(steps)}; its inputs: {', '.join(source.inputs)}")
        if steps[0]["details"]["rejected"]:
            said.append(f"lines that were no documents are in {folder / 'quarantine'}")
    return UserError("\n".join(["the corpus is empty; at least 1 document is needed", *dict.fromkeys(said)]))


def empty_sources(steps: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Of each source of which a finished build has left nothing, what took its documents."""
    found: dict[str, list[dict[str, Any]]] = {}
    for step in steps:
        found.setdefault(step["source"], []).append(step)
    return {source: _taken(own) for source, own in found.items() if not own[-1]["documents"]}


def _taken(steps: Sequence[dict[str, Any]]) -> str:
    """What the steps of a source took, the greediest first."""
    read, *rest = steps
    takers: Counter[str] = Counter()
    for step in rest:
        rules = step["details"].get("rules") or {}
        takers.update({f"{name!r}": entry["documents"] for name, entry in rules.items()})
        by_rules = sum(entry["documents"] for entry in rules.values())
        takers[step["step"]] += step["removed_documents"] - by_rules
    found = [f"{name} took {count:,}" for name, count in takers.most_common(_NAMED) if count > 0]
    if rejected := read["details"]["rejected"]:
        found.append(counted(rejected, "line was no document", "lines were no documents"))
    return f"0 documents are left of {read['documents']:,}{': ' if found else ''}{', '.join(found)}"


def _steps(folder: Path, source: SourceOutline) -> Iterator[dict[str, Any]]:
    made = [Made(folder, shard) for shard in source.shards]
    cleaned = [one.counts("clean") for one in made]
    counted = [counts | one.counts("write") for one, counts in zip(made, cleaned, strict=True)]
    left = _sizes([counts.get("read", {}) for counts in cleaned])
    details = inputs.details(source.inputs, [counts for counts in cleaned if counts])
    yield _step("read", source, left, left, np.array([bool(counts) for counts in cleaned]), details)
    for name in source.steps[1:-1]:
        counts = [one.get(name, {}) for one in counted]
        # The filter says what it left, every other step what it took.
        after = _sizes(counts) if name == "filter" else left - _sizes(counts)
        if name == "decontaminate":
            details = {"evaluation sets": merge_sets(one.get("evaluation sets", {}) for one in counts)}
        else:
            details = cleaner.merge(map(_beside_sizes, counts))
        yield _step(name, source, left, after, np.array([name in one for one in counted]), details)
        left = after
    manifests = [split for one in made for split in one.manifests()]
    result: dict[str, Any] = {"tokens": sum(one.tokens for one in manifests)}
    if annotated := [found for one in made if (found := one.counts("annotate"))]:
        result["annotation"] = annotate.merge(annotated)
    # A shuffle moves documents from shard to shard: what a shard has at last says nothing of what it began with.
    after = _sizes([{"documents": one.documents, "bytes": one.bytes} for one in manifests]).sum(
        0, keepdims=True
    )
    is_whole = len(manifests) == len(SPLITS) * len(made)
    before = left.sum(0, keepdims=True) if is_whole else after
    yield _step(source.steps[-1], source, before, after, np.ones(1, bool), result)


def _step(
    name: str,
    source: SourceOutline,
    before: np.ndarray,
    after: np.ndarray,
    reached: np.ndarray,
    details: dict[str, Any],
) -> dict[str, Any]:
    """before, after: documents and bytes of each shard, int64 (N, 2), counted where reached."""
    documents, size = after[reached].sum(axis=0).tolist()
    gone, gone_size = (before - after)[reached].sum(axis=0).tolist()
    return {
        "step": name,
        "source": source.name,
        "documents": documents,
        "bytes": size,
        "removed_documents": gone,
        "removed_bytes": gone_size,
        "details": details,
    }


def _sizes(counts: Sequence[dict[str, Any]]) -> np.ndarray:
    """Documents and bytes, int64 (N, 2)."""
    rows = [[one.get("documents", 0), one.get("bytes", 0)] for one in counts]
    return np.array(rows, np.int64).reshape(len(rows), 2)


def _beside_sizes(counts: dict[str, Any]) -> dict[str, Any]:
    beside = {name: value for name, value in counts.items() if name not in ("documents", "bytes", "details")}
    return beside | counts.get("details", {})
