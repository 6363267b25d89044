"""The cut of a corpus's inputs into numbered shards: arithmetic on names and sizes, so every rank finds the
same.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import files, manifest, read
from .config import CorpusBuildConfig, CorpusSourceConfig
from .tokenizer import Tokenizer

_COMPRESSION = 3  # what .gz and .zst are taken to shrink text by
SPLITS: tuple[manifest.Split, ...] = ("train", "validation")


@dataclass(frozen=True)
class InputShard:
    """The work behind one train and one validation shard."""

    source: str
    number: int
    pieces: tuple[read.Piece, ...]
    text_field: str
    output: str
    tokenizer: str
    validation_fraction: float
    seed: int
    stamp: str
    held_out_first: manifest.Split | None = None

    def __str__(self) -> str:
        return self.name("train")

    def name(self, split: manifest.Split) -> str:
        return f"{split}-{self.source}-{self.number:05d}"

    def manifest_path(self, split: manifest.Split) -> Path:
        return Path(self.output) / f"{self.name(split)}.json"

    @property
    def text_bytes(self) -> int:
        """Estimate of the text in the pieces."""
        return sum(_text_bytes(piece) for piece in self.pieces)

    @property
    def quarantine(self) -> Path:
        return Path(self.output) / "quarantine" / f"{self.source}-{self.number:05d}.jsonl"


def plan(config: CorpusBuildConfig, tokenizer: Tokenizer) -> list[InputShard]:
    """Cut the inputs of every source into shards of about shard_bytes: depends on names, sizes and dates
    only.
    """
    return [
        InputShard(
            source=source.name,
            number=number,
            pieces=pieces,
            text_field=source.text_field,
            output=config.output,
            tokenizer=config.tokenizer,
            validation_fraction=config.validation_fraction,
            seed=config.seed,
            stamp=_stamp(config, source, pieces, tokenizer),
        )
        for source in config.sources
        for number, pieces in enumerate(_cut(source, config.shard_bytes))
    ]


def _cut(source: CorpusSourceConfig, shard_bytes: int) -> Iterator[tuple[read.Piece, ...]]:
    """Groups of pieces: large plain files in several parts, small files together, compressed files whole."""
    group: list[read.Piece] = []
    room = shard_bytes
    for path in read.find_files(source.inputs):
        size = path.stat().st_size
        begin = 0
        while begin < size:
            if room <= 0:
                yield tuple(group)
                group, room = [], shard_bytes
            end = size if read.is_compressed(path) else min(size, begin + room)
            group.append(read.Piece(str(path), begin, end))
            begin, room = end, room - _text_bytes(group[-1])
    if group:
        yield tuple(group)


def _stamp(
    config: CorpusBuildConfig,
    source: CorpusSourceConfig,
    pieces: tuple[read.Piece, ...],
    tokenizer: Tokenizer,
) -> str:
    inputs = []
    for piece in pieces:
        status = os.stat(piece.path)
        inputs.append([piece.path, piece.begin, piece.end, status.st_size, status.st_mtime_ns])
    made_from = {
        "version": 1,
        "tokenizer": [tokenizer.sha256, tokenizer.library],
        "source": [source.name, source.text_field],
        "split": [config.validation_fraction, config.seed],
        "inputs": inputs,
    }
    return hashlib.sha256(files.canonical_json(made_from)).hexdigest()


def _text_bytes(piece: read.Piece) -> int:
    return (piece.end - piece.begin) * (_COMPRESSION if read.is_compressed(Path(piece.path)) else 1)
