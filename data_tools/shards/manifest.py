"""The manifests of a corpus folder: corpus.json and one <shard>.json beside each .bin/.idx pair.

corpus.json exists exactly when every shard is finished. Reading one checks its shape; `verify_digests` reads
every byte of the shards.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from taixue.base import UserError, files

CORPUS_FILE = "corpus.json"
Split = Literal["train", "validation"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class TokenizerRecord(_Record):
    """Which tokenizer made the ids. Ids are comparable only when sha256 is equal; library tells the version."""

    sha256: str
    kind: Literal["t5", "bert"]
    library: str
    vocab_size: PositiveInt
    eos_id: NonNegativeInt


class ShardEntry(_Record):
    """One shard in corpus.json. bytes: raw UTF-8 of its documents. Digests are SHA-256 in hex; ann_sha256 is "" for a
    shard without annotation."""

    name: str
    split: Split
    source: str
    documents: NonNegativeInt
    tokens: NonNegativeInt
    bytes: NonNegativeInt
    bin_sha256: str
    idx_sha256: str
    ann_sha256: str = ""


class InputRecord(_Record):
    """What one piece of an input file gave: documents that were read, and lines put into quarantine."""

    path: str
    begin: NonNegativeInt
    end: NonNegativeInt
    documents: NonNegativeInt
    rejected: NonNegativeInt


class ShardManifest(ShardEntry):
    """<shard>.json. A shard without documents has only this file, no .bin and .idx, and is not in corpus.json.

    stamp: digest of everything the shard is made from; a rebuild keeps the shard when it is equal.
    extractor: what took text out of HTML pages, with its version; "" without any. moved: keys of documents that are not
    on the side of their key, because a side of a source would have been empty otherwise. inputs: what was read
    for this number; with a shuffle, those documents are in all shards of the source.
    """

    format: Literal["taixue-shard"] = "taixue-shard"
    version: Literal[1] = 1
    dtype: Literal["uint16", "int32"]
    tokenizer: TokenizerRecord
    stamp: str
    extractor: str = ""
    inputs: tuple[InputRecord, ...]
    moved: tuple[NonNegativeInt, ...] = ()

    def entry(self) -> ShardEntry:
        """What corpus.json says about this shard."""
        return ShardEntry(**{name: getattr(self, name) for name in ShardEntry.model_fields})


class CorpusManifest(_Record):
    """corpus.json. extractor: as in its shards."""

    format: Literal["taixue-corpus"] = "taixue-corpus"
    version: Literal[1] = 1
    tokenizer: TokenizerRecord
    extractor: str = ""
    shards: tuple[ShardEntry, ...]


_Manifest = TypeVar("_Manifest", ShardManifest, CorpusManifest)


def write(path: Path, manifest: ShardManifest | CorpusManifest) -> None:
    """Write a manifest atomically."""
    files.write(path, files.readable_json(manifest.model_dump()))


def read_corpus(folder: Path) -> CorpusManifest:
    """corpus.json of a folder; UserError when it is missing or not what it should be."""
    path = folder / CORPUS_FILE
    if not path.is_file():
        raise UserError(
            f"{folder}: no {CORPUS_FILE}: not a corpus folder, or its build has not finished; "
            "run `taixue corpus build` (again)"
        )
    return _read(path, CorpusManifest)


def read_shard(path: Path) -> ShardManifest:
    """A <shard>.json; UserError when it is not what it should be."""
    return _read(path, ShardManifest)


def _read(path: Path, kind: type[_Manifest]) -> _Manifest:
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        raise UserError(f"{path}: damaged or of another version: {where}: {fault['msg']}") from None


def verify_digests(folder: Path, shards: Sequence[ShardEntry]) -> None:
    """Read these shards and compare their digests; UserError naming the first file that differs."""
    for shard in shards:
        digests = ((".bin", shard.bin_sha256), (".idx", shard.idx_sha256), (".ann", shard.ann_sha256))
        for suffix, expected in digests:
            if not expected:
                continue
            path = folder / (shard.name + suffix)
            if not path.is_file():
                raise UserError(f"{path}: missing; `taixue corpus build` makes it again")
            found = files.sha256_of_file(path)
            if found != expected:
                raise UserError(
                    f"{path}: its bytes have changed: SHA-256 {found[:12]}, {CORPUS_FILE} says {expected[:12]}"
                    f"; delete {shard.name}.json and run `taixue corpus build` to make it again"
                )
