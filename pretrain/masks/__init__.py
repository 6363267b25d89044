"""`taixue masks`: what a run will mask, seen and counted before any of it is trained."""

from pathlib import Path
from typing import Any

from taixue.base import UserError, files
from taixue.data_tools.shards.corpus import open_corpus
from taixue.data_tools.tokenizer.base import Tokenizer
from taixue.data_tools.tokenizer.store import load_tokenizer

from ..config.schema import RunConfig
from ..config.validate import run_folder
from ..data import TrainingData, open_data
from ..objectives import OBJECTIVES, build_objective
from ..objectives.unit_rules import special_ids
from . import terminal
from .drawn import masker, packing, rivals
from .masks_page import page
from .measures import Measures

__all__ = ["report_masks"]

_BATCH = 256


def report_masks(run: RunConfig, samples: int, windows: int, out: Path | None) -> Path:
    """Print samples and a table, write masks.html and masks.json into `out` (default: masks/ in the run's folder);
    return the page's path. windows: how many, over all sources, are counted. UserError as open_data."""
    if windows < 1 or samples < 1:
        raise UserError(f"--windows {windows} and --samples {samples}: at least 1 of each is needed")
    tokenizer = load_tokenizer(run.data.tokenizer)
    objective = build_objective(run.objective, tokenizer)
    has_annotation = objective.needs_annotation or _is_annotated(run)
    data = open_data(run, tokenizer, objective, with_rows=has_annotation)
    facts = _facts(run, data, tokenizer, windows)
    shown = min(samples, windows)
    batch = data.batch(range(shown))
    terminal.show(facts, batch, data, tokenizer)
    folder = out or run_folder(run) / "masks"
    facts["samples"] = _samples(data, tokenizer, shown)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write(folder / "masks.json", files.readable_json(facts))
        files.write(folder / "masks.html", page(facts).encode())
    except OSError as error:
        raise UserError(f"report folder {str(folder)!r} cannot be written: {error.strerror}") from None
    return folder / "masks.html"


def _is_annotated(run: RunConfig) -> bool:
    corpora = [
        open_corpus(source.corpus, split) for source in run.data.sources for split in ("train", "validation")
    ]
    return all(shard.entry.ann_sha256 for corpus in corpora for shard in corpus.shards)


def _facts(run: RunConfig, data: TrainingData, tokenizer: Tokenizer, windows: int) -> dict[str, Any]:
    special = special_ids(tokenizer.special_ids, tokenizer.vocab_size).astype(bool)
    schema = data.schema
    tags = run.objective.units.idiom_tags
    idioms = [number for number, name in enumerate(schema.get("pos", ())) if name in tags]
    maskers = {"this run": masker(data.objective)}
    masked = OBJECTIVES.of(run.objective).masked(run.objective)
    maskers |= rivals(data.objective.raw_length, tokenizer, masked)
    measures = {name: Measures() for name in maskers}
    by_source = {name: Measures() for name in data.source_names}
    for begin in range(0, windows, _BATCH):
        numbers = range(begin, min(begin + _BATCH, windows))
        tokens, rows = data.windows(numbers)
        keys, source = data.mask_keys(numbers), data.sources_of(numbers)
        for name, mask in maskers.items():
            spans, fell_back = mask(tokens, keys, rows)
            measures[name].add(spans, special[tokens], rows, idioms, fell_back)
            if name == "this run":
                for index, part in enumerate(data.source_names):
                    mine = source == index
                    if mine.any():
                        some = None if rows is None else rows[mine]
                        by_source[part].add(spans[mine], special[tokens[mine]], some, idioms)
    lengths = [
        int(length)
        for entry in run.data.sources
        for shard in open_corpus(entry.corpus, "train").shards
        for length in shard.reader.lengths[:1000]
    ]
    return {
        "run": run.name,
        "objective": run.objective.model_dump(mode="json"),
        "raw_length": data.objective.raw_length,
        "shapes": {name: list(shape) for name, shape in data.objective.shapes.items()},
        "annotated": bool(schema),
        "maskers": {name: found.facts() for name, found in measures.items()},
        "sources": {name: found.facts() for name, found in by_source.items() if found.windows},
        "packing": packing(data.objective, lengths),
    }


def _samples(data: TrainingData, tokenizer: Tokenizer, count: int) -> list[list[dict[str, Any]]]:
    """Windows as pieces with their span, entity and connective."""
    tokens, rows = data.windows(range(count))
    numbers, _ = masker(data.objective)(tokens, data.mask_keys(range(count)), rows)
    out = []
    for row in range(count):
        pieces = tokenizer.pieces(tokens[row])
        sample = [
            {"piece": piece.replace("▁", " "), "span": int(n)}
            for piece, n in zip(pieces, numbers[row], strict=True)
        ]
        for place, entry in enumerate(sample):
            if rows is not None:
                entry["entity"] = int(rows["entity"][row, place])
                entry["connective"] = int(rows["connective"][row, place])
        out.append(sample)
    return out
