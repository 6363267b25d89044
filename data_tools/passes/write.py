"""One input shard -> its train and validation shard: .bin, .idx and, last, the .json that makes them count."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from taixue.base import UserError, files

from .. import native
from ..annotate import Annotator
from ..shards import indexed, manifest, sidecar
from ..tokenizer.store import Tokenizer, load_tokenizer
from .cut import SPLITS, InputShard
from .splits import SplitCounts, are_held_out, split_keys, with_moved
from .statistics import statistics_path, write_statistics
from .survivors import Survivors

_PROBE = 100


@dataclass(frozen=True)
class WriteTask:
    """Makes the two shards of an input shard, its documents in their order."""

    shard: InputShard
    paragraph_parts: int = 0

    def __str__(self) -> str:
        return str(self.shard)

    @property
    def size(self) -> int:
        return self.shard.text_bytes

    def is_finished(self) -> bool:
        return is_finished(self.shard)

    def run(self) -> Iterator[int]:
        return make_shard(self.shard, self.paragraph_parts)


def is_finished(shard: InputShard, splits: Sequence[manifest.Split] = SPLITS) -> bool:
    """Whether the shards of these splits are there whole and were made from the same things."""
    if not all(statistics_path(shard, step).is_file() for step in ("clean", "write", "split")):
        return False
    for split in splits:
        path = shard.manifest_path(split)
        try:
            found = manifest.read_shard(path)
            if found.stamp != shard.stamp:
                return False
            if found.documents:
                size = found.tokens * np.dtype(found.dtype).itemsize
                if path.with_suffix(".bin").stat().st_size != size:
                    return False
                if path.with_suffix(".idx").stat().st_size != indexed.index_size(found.documents):
                    return False
                if shard.config.annotate and not path.with_suffix(".ann").is_file():
                    return False
        except (OSError, UserError):
            return False
    return True


def make_shard(shard: InputShard, paragraph_parts: int = 0) -> Iterator[int]:
    """Read, split, tokenize and publish one input shard; yield bytes of text as they are done."""
    worker = Encoder(shard)
    sinks = [Sink(shard, split, worker) for split in SPLITS]
    counts, config, moved = SplitCounts(shard), shard.config, set[int]()
    try:
        documents = Survivors(shard, paragraph_parts)
        for texts, sizes, _, amount in documents:
            encoded = worker.encode(texts)
            keys = split_keys(encoded.tokens, encoded.lengths, config.seed)
            held_out = are_held_out(keys, config.validation_fraction)
            counts.add(keys, held_out)
            if shard.moved:
                moved |= shard.moved.intersection(keys.tolist())
                held_out = with_moved(held_out, keys, shard.moved)
            for split, sink in enumerate(sinks):
                which = np.flatnonzero(held_out == split)
                sink.add(encoded.select(which), int(sizes[which].sum()))
            yield amount
        worker.write_statistics()
        counts.publish()
        for sink in sinks:
            sink.finish(documents.inputs, tuple(sorted(moved)))
    finally:
        for sink in sinks:
            sink.close()


@dataclass(frozen=True)
class Encoded:
    """Documents as tokens, each with its eos.

    tokens: integers (N,). rows: the annotation of each token as bytes, uint8 (N, bytes of a row), or None; numpy copies
    rows of several fields one field at a time. lengths: tokens of each document, int64.
    """

    tokens: np.ndarray
    rows: np.ndarray | None
    lengths: np.ndarray

    def select(self, which: np.ndarray) -> "Encoded":
        """The documents with these numbers, in this order."""
        if len(which) == len(self.lengths) and (which == np.arange(len(which))).all():
            return self
        ends = np.cumsum(self.lengths)
        parts = [*zip((ends - self.lengths)[which].tolist(), ends[which].tolist(), strict=True)]
        tokens = np.concatenate([self.tokens[:0], *(self.tokens[begin:end] for begin, end in parts)])
        rows = self.rows
        if rows is not None:
            rows = np.concatenate([rows[:0], *(rows[begin:end] for begin, end in parts)])
        return Encoded(tokens, rows, self.lengths[which])


class Encoder:
    """Tokenizer and, where it is wanted, annotator of a corpus; loaded once per process."""

    def __init__(self, shard: InputShard) -> None:
        self._shard = shard
        self.tokenizer = _tokenizer(shard.config.tokenizer)
        self.annotator = Annotator(shard.config.annotate) if shard.config.annotate else None
        self.dtype = indexed.token_dtype(self.tokenizer.vocab_size)
        self._is_checked = False

    def encode(self, texts: native.Texts) -> Encoded:
        """Tokens of texts, each with its eos."""
        # The fast way, which is compared with the library's on the first texts of each shard.
        if not self._is_checked and len(texts):
            self._is_checked = True
            self._check([texts[k] for k in range(min(len(texts), _PROBE))])
        if self.annotator is None:
            tokens, lengths = self.tokenizer.encode_joined(texts)
            return Encoded(tokens, None, lengths)
        tokens, lengths, starts = self.tokenizer.encode_with_starts(texts)
        rows = self.annotator.annotate(texts, lengths, starts)
        return Encoded(tokens, rows.view(np.uint8).reshape(len(rows), self.annotator.dtype.itemsize), lengths)

    def _check(self, texts: native.Texts) -> None:
        library = self.tokenizer.by_library()
        if not np.array_equal(self.tokenizer.encode_joined(texts)[0], library.encode_joined(texts)[0]):
            warnings.warn(
                f"{self._shard}: the fast tokenizer differs from the library, which is used", stacklevel=3
            )
            self.tokenizer = library

    def write_statistics(self) -> None:
        """Publish the counts of the annotator, if there is one."""
        if self.annotator is not None:
            write_statistics(self._shard, "annotate", dict(self.annotator.counts()))

    def describe(self) -> manifest.TokenizerRecord:
        """What manifests say about the tokenizer."""
        tokenizer = self.tokenizer
        return manifest.TokenizerRecord(
            sha256=tokenizer.sha256,
            kind=tokenizer.kind,
            library=tokenizer.library,
            vocab_size=tokenizer.vocab_size,
            eos_id=tokenizer.eos_id,
        )


@lru_cache(maxsize=1)
def _tokenizer(folder: str) -> Tokenizer:
    return load_tokenizer(folder)


class Sink:
    """Writes the documents of one output shard; `finish` publishes them, `close` leaves no temporary files."""

    def __init__(self, shard: InputShard, split: manifest.Split, encoder: Encoder) -> None:
        self._shard, self._split, self._encoder = shard, split, encoder
        path = shard.manifest_path(split)
        path.unlink(missing_ok=True)
        for suffix in (".bin", ".idx", ".ann", ".json"):
            files.remove_temporaries(path.with_suffix(suffix))
        self._writer = indexed.Writer(path.with_suffix(""), encoder.dtype)
        self._sidecar = (
            sidecar.Writer(path.with_suffix(""), encoder.annotator.schema) if encoder.annotator else None
        )
        self.documents = 0
        self.bytes = 0

    def add(self, encoded: Encoded, size: int) -> None:
        """Append documents; size: bytes of their texts."""
        if not len(encoded.lengths):
            return
        self._writer.add(encoded.tokens, encoded.lengths)
        if self._sidecar is not None and encoded.rows is not None:
            self._sidecar.add(encoded.rows)
        self.documents += len(encoded.lengths)
        self.bytes += size

    def finish(self, inputs: Sequence[manifest.InputRecord], moved: tuple[int, ...]) -> None:
        """Publish the files, the manifest last; without documents only the manifest."""
        finish: Callable[[], indexed.Written] = (
            self._writer.finish if self.documents else self._writer.discard
        )
        written = finish()
        ann_sha256 = ""
        if self._sidecar is not None:
            ann_sha256 = self._sidecar.finish() if self.documents else self._sidecar.discard() or ""
        else:
            self._shard.manifest_path(self._split).with_suffix(".ann").unlink(missing_ok=True)
        shard_manifest = manifest.ShardManifest(
            name=self._shard.name(self._split),
            split=self._split,
            source=self._shard.source.name,
            **vars(written),
            ann_sha256=ann_sha256,
            bytes=self.bytes,
            dtype=self._encoder.dtype.name,
            tokenizer=self._encoder.describe(),
            stamp=self._shard.stamp,
            extractor=self._shard.extractor,
            inputs=tuple(inputs),
            moved=moved,
        )
        manifest.write(self._shard.manifest_path(self._split), shard_manifest)

    def close(self) -> None:
        """Remove what was not finished."""
        self._writer.__exit__(None, None, None)
        if self._sidecar is not None:
            self._sidecar.__exit__(None, None, None)
