"""An opened corpus: the shards of one split, memory-mapped, by source."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from taixue.base import UserError

from . import indexed, manifest


@dataclass(frozen=True)
class Shard:
    """A shard and its files."""

    entry: manifest.ShardEntry
    reader: indexed.Reader


@dataclass(frozen=True)
class Corpus:
    """One split of a corpus folder. Shards are in the manifest's order, which is part of what a run learns."""

    folder: Path
    split: manifest.Split
    manifest: manifest.CorpusManifest
    shards: tuple[Shard, ...]

    @cached_property
    def source_names(self) -> tuple[str, ...]:
        """Every source of the folder, of either split, in the manifest's order."""
        return tuple(dict.fromkeys(entry.source for entry in self.manifest.shards))

    def shards_of(self, source: str) -> tuple[Shard, ...]:
        """Shards of one source; UserError when the folder has no such source."""
        if source not in self.source_names:
            raise UserError(
                f"{self.folder}: no source {source!r}; it has {', '.join(self.source_names) or 'none'}"
            )
        return tuple(shard for shard in self.shards if shard.entry.source == source)


def open_corpus(folder: str | Path, split: manifest.Split, digests: bool = False) -> Corpus:
    """Open the shards of a split. Headers and sizes are always checked; with digests, every byte of both splits.

    UserError when the folder is no finished corpus, or a shard is missing, truncated or damaged.
    """
    folder = Path(folder)
    listing = manifest.read_corpus(folder)
    if not listing.shards:
        raise UserError(
            f"{folder / manifest.CORPUS_FILE}: lists no shards; at least 1 is needed: run `taixue corpus build` again"
        )
    if digests:
        manifest.verify_digests(folder, listing.shards)
    shards = tuple(_open(folder, entry) for entry in listing.shards if entry.split == split)
    return Corpus(folder, split, listing, shards)


def _open(folder: Path, entry: manifest.ShardEntry) -> Shard:
    reader = indexed.Reader(folder / entry.name)
    if (len(reader.lengths), len(reader.tokens)) != (entry.documents, entry.tokens):
        raise UserError(
            f"{reader.bin_path}: {len(reader.lengths)} documents and {len(reader.tokens)} tokens, but "
            f"{manifest.CORPUS_FILE} says {entry.documents} and {entry.tokens}; "
            "run `taixue corpus build` again"
        )
    return Shard(entry, reader)
