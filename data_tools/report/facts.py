"""The numbers of a corpus, or of as much of one as its build has made: from manifests, shards, annotation, and what the
build recorded of what it removed and could not read.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from taixue.base import UserError

from ..build import outline
from ..build.flow import FLOW_FILE, Made, empty_sources, flow
from ..build.outline import Outline
from ..clean import filters
from ..passes.cut import SPLITS
from ..shards import indexed, manifest, sidecar
from ..tokenizer.store import Tokenizer, load_tokenizer

_SAMPLE_DOCUMENTS = 2000
_NOT_READ = 50
_SCAN_TOKENS = 20_000_000
_EDGES = [0, *(2**k for k in range(3, 18))]


def gather(folder: Path, tokenizer_folder: str) -> dict[str, Any]:
    """Everything the page shows, as JSON-able values. UserError when there is neither a corpus nor a build's record."""
    plan = None if (folder / manifest.CORPUS_FILE).is_file() else outline.read(folder)
    if plan is None:
        listing = manifest.read_corpus(folder)
        made_with: manifest.TokenizerRecord | None = listing.tokenizer
        extractor, found, record, unfinished = listing.extractor, [*listing.shards], _flow(folder), None
    else:
        made = [Made(folder, shard).manifests() for source in plan.sources for shard in source.shards]
        manifests = [one for both in made for one in both]
        made_with = manifests[0].tokenizer if manifests else None
        extractor = max((one.extractor for one in manifests), default="")
        found, record = [one.entry() for one in manifests if one.documents], flow(folder, plan)
        unfinished = {"shards": sum(len(both) == len(SPLITS) for both in made), "of": len(made)}
    tokenizer = load_tokenizer(tokenizer_folder) if tokenizer_folder else None
    if tokenizer and made_with and tokenizer.sha256 != made_with.sha256:
        raise UserError(
            f"{tokenizer_folder}: another tokenizer than the corpus was made with: digest {tokenizer.sha256[:12]}, "
            f"its shards say {made_with.sha256[:12]}"
        )
    sources = list(dict.fromkeys(shard.source for shard in found))
    steps = record["steps"]
    shards = {name: [shard for shard in found if shard.source == name] for name in sources}
    return {
        "format": "taixue-report",
        "version": 1,
        "corpus": str(folder),
        "unfinished": unfinished,
        "tokenizer": made_with and made_with.model_dump(),
        "extractor": extractor,
        "totals": _totals(found),
        "sources": {name: _source(folder, shards[name], tokenizer) for name in sources},
        "empty": {} if unfinished else empty_sources(steps),
        "flow": steps,
        "near_copies": record.get("samples", {}).get("near duplicates", []),
        "near_copies_not_looked_for": _without_step("near duplicates", steps, sources),
        "not_read": [
            {"source": step["source"], "reason": reason, **entry}
            for step in steps
            for reason, entry in step["details"].get("not_read", {}).items()
        ],
        "rejected": _rejected(folder, plan),
        "annotation": _annotation(folder, found),
        "external": record.get("external", {}),
    }


def _totals(shards: list[Any]) -> dict[str, Any]:
    out: dict[str, Any] = {
        name: sum(getattr(shard, name) for shard in shards) for name in ("documents", "tokens", "bytes")
    }
    out["shards"] = len(shards)
    for split in ("train", "validation"):
        mine = [shard for shard in shards if shard.split == split]
        out[split] = {
            name: sum(getattr(shard, name) for shard in mine) for name in ("documents", "tokens", "bytes")
        }
    return out


def _source(folder: Path, shards: list[Any], tokenizer: Tokenizer | None) -> dict[str, Any]:
    out = _totals(shards)
    # Every document ends with a token of its own, which is no text.
    out["bytes_per_token"] = _ratio(out["bytes"], out["tokens"] - out["documents"])
    lengths = np.concatenate([indexed.Reader(folder / shard.name).lengths for shard in shards])
    counts, _ = np.histogram(lengths, [*_EDGES, np.inf])
    out["lengths"] = {
        "edges": _EDGES,
        "counts": counts.tolist(),
        "median": float(np.median(lengths)),
        "mean": float(lengths.mean()),
        "longest": int(lengths.max()),
    }
    if tokenizer:
        out |= _sampled(folder, shards, tokenizer)
    return out


def _sampled(folder: Path, shards: list[Any], tokenizer: Tokenizer) -> dict[str, Any]:
    """Measured on the texts of evenly spaced documents, and on the tokens of whole shards up to a limit."""
    texts: list[str] = []
    tokens = 0
    documents = sum(shard.documents for shard in shards)
    step = max(documents // _SAMPLE_DOCUMENTS, 1)
    used = np.zeros(tokenizer.vocab_size, np.int64)
    for shard in shards:
        reader = indexed.Reader(folder / shard.name)
        for number in range(0, shard.documents, step):
            ids = reader.document(number)[:-1]
            tokens += len(ids)
            texts.append(tokenizer.decode(ids))
        if used.sum() < _SCAN_TOKENS:
            part = reader.tokens[:_SCAN_TOKENS]
            used += np.bincount(part, minlength=tokenizer.vocab_size)[: tokenizer.vocab_size]
    measures = filters.Measures(texts, (), 13)
    characters = int(measures.stats["characters"].sum())
    languages = np.bincount(measures.languages(), minlength=len(filters.LANGUAGES)).tolist()
    used[tokenizer.eos_id] = 0
    return {
        "sample": {"documents": len(texts), "characters": characters, "tokens": tokens},
        "characters_per_token": _ratio(characters, tokens),
        "languages": dict(zip(filters.LANGUAGES, languages, strict=True)),
        "unknown_share": _ratio(int(used[tokenizer.unk_id]), int(used.sum())),
        "vocabulary_used": int((used > 0).sum()),
    }


def _without_step(step: str, steps: list[dict[str, Any]], sources: list[str]) -> list[str]:
    """The sources that did not go through a step."""
    went = {one["source"] for one in steps if one["step"] == step}
    return [name for name in sources if name not in went] if steps else []


def _flow(folder: Path) -> dict[str, Any]:
    path = folder / FLOW_FILE
    if not path.is_file():
        return {"steps": []}
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
        found["steps"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a record of a build: {error}") from None
    return found


def _rejected(folder: Path, plan: Outline | None) -> list[dict[str, Any]]:
    """Of each source, file and reason: how many lines are in quarantine, and the first; the most frequent ones.

    plan: of an unfinished build; what an earlier one left in quarantine is not counted.
    """
    current = plan and {
        shard.base
        for source in plan.sources
        for shard in source.shards
        if Made(folder, shard).counts("clean")
    }
    lines: Counter[tuple[str, str, str]] = Counter()
    first: dict[tuple[str, str, str], int] = {}
    for path in sorted((folder / "quarantine").glob("*.jsonl")):
        if current is not None and path.stem not in current:
            continue
        try:
            for entry in map(orjson.loads, path.read_bytes().splitlines()):
                # A number in a reason says where in the line, which is another place in each.
                kind = (
                    path.stem.rpartition("-")[0],
                    entry["file"],
                    re.sub(r"(?<![-\w])\d+", "…", entry["reason"]),
                )
                lines[kind] += 1
                first.setdefault(kind, entry["line"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a list of lines that were not read: {error}") from None
    return [
        {"source": kind[0], "path": kind[1], "reason": kind[2], "lines": count, "first": first[kind]}
        for kind, count in lines.most_common(_NOT_READ)
    ]


def _annotation(folder: Path, shards: list[Any]) -> dict[str, Any] | None:
    """Counts over all sidecars; None without any."""
    sums: dict[str, np.ndarray] = {}
    schema: dict[str, Any] = {}
    flags = np.zeros(256, np.int64)
    tokens = 0
    for shard in shards:
        if not (folder / f"{shard.name}.ann").is_file():
            continue
        reader = sidecar.Reader(folder / shard.name)
        schema = reader.schema
        tokens += len(reader.rows)
        for part in _parts(reader.rows):
            flags += np.bincount(part["flags"], minlength=256)
            for name, bit in (
                ("pos", sidecar.UNIT),
                ("entity", sidecar.ENTITY),
                ("connective", sidecar.CONNECTIVE),
            ):
                begins = part[name][(part["flags"] & bit) != 0]
                sums[name] = sums.get(name, np.zeros(256, np.int64)) + np.bincount(begins, minlength=256)
                held = f"{name}_tokens"
                sums[held] = sums.get(held, np.zeros(1, np.int64)) + int((part[name] > 0).sum())
    if not tokens:
        return None
    codes = np.arange(256)
    bits = {
        "units": sidecar.UNIT,
        "straddling": sidecar.STRADDLES,
        "clauses": sidecar.CLAUSE,
        "sentences": sidecar.SENTENCE,
        "entities": sidecar.ENTITY,
        "connectives": sidecar.CONNECTIVE,
        "pairs": sidecar.PAIR_FIRST,
    }
    out: dict[str, Any] = {"tokens": tokens, "made_by": schema.get("made_by", {})}
    out |= {name: int(flags[(codes & bit) != 0].sum()) for name, bit in bits.items()}
    out["entity_tokens"] = int(sums["entity_tokens"][0])
    out["connective_tokens"] = int(sums["connective_tokens"][0])
    for name, names in (("pos", "pos"), ("entity", "entity"), ("connective", "relation")):
        found = {value: int(sums[name][k]) for k, value in enumerate(schema.get(names, [""])) if k}
        out[f"{name}_kinds"] = dict(sorted((item for item in found.items() if item[1]), key=lambda x: -x[1]))
    return out


def _parts(rows: np.ndarray, size: int = 1 << 22) -> Iterator[np.ndarray]:
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
