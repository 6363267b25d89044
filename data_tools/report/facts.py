"""The numbers of a corpus: from its manifests, its shards, its annotation, and the record of what its build removed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from taixue.base import UserError

from ..clean import filters
from ..shards import indexed, manifest, sidecar
from ..tokenizer.store import Tokenizer, load_tokenizer

FLOW_FILE = "flow.json"
_SAMPLE_DOCUMENTS = 2000
_SCAN_TOKENS = 20_000_000
_EDGES = [0, *(2**k for k in range(3, 18))]


def gather(folder: Path, tokenizer_folder: str) -> dict[str, Any]:
    """Everything the page shows, as JSON-able values."""
    listing = manifest.read_corpus(folder)
    tokenizer = load_tokenizer(tokenizer_folder) if tokenizer_folder else None
    if tokenizer and tokenizer.sha256 != listing.tokenizer.sha256:
        raise UserError(
            f"{tokenizer_folder}: another tokenizer than the corpus was made with: digest {tokenizer.sha256[:12]}, "
            f"corpus.json says {listing.tokenizer.sha256[:12]}"
        )
    sources = list(dict.fromkeys(shard.source for shard in listing.shards))
    shards = {name: [shard for shard in listing.shards if shard.source == name] for name in sources}
    return {
        "format": "taixue-report",
        "version": 1,
        "corpus": str(folder),
        "tokenizer": listing.tokenizer.model_dump(),
        "totals": _totals(list(listing.shards)),
        "sources": {name: _source(folder, shards[name], tokenizer) for name in sources},
        "flow": _flow(folder),
        "annotation": _annotation(folder, list(listing.shards)),
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


def _flow(folder: Path) -> list[dict[str, Any]]:
    path = folder / FLOW_FILE
    if not path.is_file():
        return []
    try:
        steps: list[dict[str, Any]] = orjson.loads(path.read_bytes())["steps"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a record of a build: {error}") from None
    return steps


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
