"""The cut of a corpus's inputs into numbered shards: arithmetic on names and sizes, so every rank finds the same."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from taixue.base import UserError, files

from .. import read
from ..annotate import Annotator
from ..clean.cleaner import Cleaner
from ..config import CorpusBuildConfig, CorpusSourceConfig
from ..shards import manifest
from ..tokenizer.store import Tokenizer

SPLITS: tuple[manifest.Split, ...] = ("train", "validation")
WORK_FOLDER = "work"
STATISTICS_FOLDER = "stats"


@dataclass(frozen=True)
class InputShard:
    """The work behind one train and one validation shard.

    config: the corpus's, with what the source has in its place. index: number among the shards of all sources; number:
    within its source. cleaned: digest of what the cleaned text is made from; stamp: of what the token shards are.
    extractor: what takes text out of HTML pages, with its version; "" where no input may hold any. moved: keys of
    documents that change sides (splits.py).
    """

    config: CorpusBuildConfig
    source: CorpusSourceConfig
    index: int
    number: int
    pieces: tuple[read.Piece, ...]
    cleaned: str
    stamp: str
    extractor: str = ""
    moved: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return self.name("train")

    def name(self, split: manifest.Split) -> str:
        return f"{split}-{self.base}"

    def manifest_path(self, split: manifest.Split) -> Path:
        return self.output / f"{self.name(split)}.json"

    @property
    def base(self) -> str:
        return f"{self.source.name}-{self.number:05d}"

    @property
    def copies(self) -> frozenset[str]:
        """The kinds of copies that its documents are compared for."""
        return self.config.copies(self.source)

    @property
    def output(self) -> Path:
        return Path(self.config.output)

    @property
    def text_bytes(self) -> int:
        """Estimate of the text in the pieces."""
        return sum(_text_bytes(piece) for piece in self.pieces)

    @property
    def quarantine(self) -> Path:
        return self.output / "quarantine" / f"{self.base}.jsonl"

    def work(self, name: str, suffix: str) -> Path:
        """A file of the pass `name` that belongs to this shard."""
        return self.output / WORK_FOLDER / name / f"{self.base}{suffix}"


def plan(config: CorpusBuildConfig, tokenizer: Tokenizer) -> list[InputShard]:
    """Cut the inputs of every source into shards of about shard_bytes: depends on names, sizes and dates only."""
    shards = [
        InputShard(
            own, source, 0, number, pieces, _cleaned(own, cleaner, source, pieces, extractor), "", extractor
        )
        for source in config.sources
        for own in [config.of(source)]
        for cleaner in [Cleaner(own.normalize, own.filters).stamp()]
        for number, pieces in enumerate(_cut(source, config.shard_bytes))
        for extractor in [read.page_library() if any(read.holds_pages(one.path) for one in pieces) else ""]
    ]
    # A shard's own inputs decide its tokens, unless documents of other shards can remove its own or replace them.
    together = bool(config.deduplicate or config.shuffle)
    everything = digest(shard.cleaned for shard in shards) if together else None
    made_with = _token_settings(config, tokenizer)
    return [
        replace(shard, index=index, stamp=digest([everything or shard.cleaned, shard.base, made_with]))
        for index, shard in enumerate(shards)
    ]


def digest(value: Any) -> str:
    """SHA-256 in hex of a value that JSON can hold, or of the items of an iterator."""
    return hashlib.sha256(
        files.canonical_json(list(value) if isinstance(value, Iterator) else value)
    ).hexdigest()


def file_facts(paths: Iterable[Path]) -> list[list[Any]]:
    """What a stamp says about files: name, size, times of change."""
    return [[str(path), *_facts(path)] for path in paths]


def _facts(path: str | Path) -> list[Any]:
    try:
        return read.facts(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


def _cut(source: CorpusSourceConfig, shard_bytes: int) -> Iterator[tuple[read.Piece, ...]]:
    """Groups of pieces: large plain files in several parts, small files together, compressed files whole."""
    group: list[read.Piece] = []
    room = shard_bytes
    for path in read.find(source.inputs).files:
        size = _facts(path)[0]
        begin = 0
        if size == 0:
            group.append(read.Piece(path, 0, 0))  # so that it is said to be empty
        while begin < size:
            if room <= 0:
                yield tuple(group)
                group, room = [], shard_bytes
            end = size if read.is_whole(path) else min(size, begin + room)
            group.append(read.Piece(path, begin, end))
            begin, room = end, room - _text_bytes(group[-1])
    if group:
        yield tuple(group)


def _cleaned(
    config: CorpusBuildConfig,
    cleaner: dict[str, Any],
    source: CorpusSourceConfig,
    pieces: tuple[read.Piece, ...],
    extractor: str,
) -> str:
    contamination = config.decontaminate
    inputs = [[piece.path, piece.begin, piece.end, *_facts(piece.path)] for piece in pieces]
    return digest(
        {
            "version": 8,
            # What it has of normalize and filters is in the cleaner's stamp.
            "source": source.model_dump(mode="json", exclude={"inputs", "normalize", "filters"}),
            "inputs": inputs,
            "extractor": extractor,
            "clean": cleaner,
            "deduplicate": _settings(config.deduplicate),
            "decontaminate": [
                contamination and contamination.model_dump(mode="json"),
                contamination and file_facts(read.find_files(contamination.inputs)),
            ],
        }
    )


def _token_settings(config: CorpusBuildConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "tokenizer": [tokenizer.sha256, tokenizer.library],
        "split": [config.validation_fraction, config.seed],
        "shuffle": config.shuffle,
        "annotate": Annotator(config.annotate).stamp() if config.annotate else None,
    }


def _settings(section: Any) -> Any:
    """A section as JSON, without what bounds resources only."""
    return section and section.model_dump(mode="json", exclude={"memory_mb"})


def _text_bytes(piece: read.Piece) -> int:
    return (piece.end - piece.begin) * read.expansion(piece.path)
