"""Pass `clean`: an input shard -> its cleaned documents, and what its copies can be found by.

Documents are numbered in their order; every later pass speaks of them by (input shard, number).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from taixue import UserError
from taixue.base import files

from .. import native, read
from ..clean.cleaner import Cleaner
from ..config import DeduplicateConfig
from ..shards import manifest
from . import fingerprint, match, record, runs
from .cut import STATISTICS_FOLDER, InputShard
from .texts import TextWriter

_BATCH_BYTES = 1_000_000
_RUN_DOCUMENTS = 1 << 16
_RUN_PARAGRAPHS = 1 << 20
_LONG_RUN = 64  # rows with one hash that a run hands on to the next passes
SUFFIXES = (
    *(".text", ".length", ".exact", ".near", ".sketch", ".paragraph", ".repeats"),
    *(".exact-pairs", ".near-pairs"),
)
PARAGRAPH_COLUMNS = {"hash": "<u8", "document": "<u4", "paragraph": "<u4"}
REPEAT_COLUMNS = {"document": "<u8", "paragraph": "<u4"}


class CleanedShard:
    """The cleaned documents of an input shard, in batches of 1 to 2 MB.

    Iterate once; then inputs, and the files in quarantine/ and stats/, say what was read and removed. Yields
    (texts, int64 bytes of each, bytes read since the last batch).
    """

    def __init__(self, shard: InputShard) -> None:
        self._shard = shard
        self._cleaner = Cleaner(shard.config.normalize, shard.config.filters)
        self._rejected: list[read.Rejected] = []
        self._converted: Counter[str] = Counter()
        self._read: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        self.inputs: list[manifest.InputRecord] = []

    def __iter__(self) -> Iterator[tuple[native.Texts, np.ndarray, int]]:
        waiting: list[native.Texts] = []
        size = 0
        for texts in self._documents():
            waiting.append(texts)
            size += int(native.byte_counts(texts).sum())
            if size >= _BATCH_BYTES:
                yield self._clean(native.gather(waiting), size)
                waiting, size = [], 0
        if size:
            yield self._clean(native.gather(waiting), size)
        self._publish()

    def _documents(self) -> Iterator[native.Texts]:
        for piece in self._shard.pieces:
            documents, lines = self._read["documents"], len(self._rejected)
            for texts in read.batches(
                piece, self._shard.source.read_options, self._rejected.append, self._converted
            ):
                self._read["documents"] += len(texts)
                yield texts
            documents = self._read["documents"] - documents
            self.inputs.append(
                manifest.InputRecord(**vars(piece), documents=documents, rejected=len(self._rejected) - lines)
            )

    def _clean(self, batch: native.Batch, amount: int) -> tuple[native.Texts, np.ndarray, int]:
        self._read["bytes"] += amount
        texts: native.Texts = batch
        if self._shard.config.normalize or self._shard.config.filters:
            cleaned, kept = self._cleaner.clean(batch)
            texts = native.gather([cleaned]).select(np.flatnonzero(kept))
        sizes = native.byte_counts(texts)
        self._left.update(documents=len(texts), bytes=int(sizes.sum()))
        return texts, sizes, amount

    def _publish(self) -> None:
        shard = self._shard
        files.remove_temporaries(shard.quarantine)
        if self._rejected:
            lines = b"".join(orjson.dumps(line) + b"\n" for line in self._rejected)
            files.write(shard.quarantine, lines)
        else:
            shard.quarantine.unlink(missing_ok=True)
        facts = {
            "read": dict(self._read) | {"rejected": len(self._rejected), "converted": dict(self._converted)},
            "filter": dict(self._left) | {"details": self._cleaner.counts()},
        }
        write_statistics(shard, "clean", facts)


def statistics_path(shard: InputShard, step: str) -> Path:
    """File of counts of one step of an input shard."""
    return shard.output / STATISTICS_FOLDER / f"{shard.base}.{step}.json"


def write_statistics(shard: InputShard, step: str, facts: dict[str, object]) -> None:
    path = statistics_path(shard, step)
    path.parent.mkdir(exist_ok=True)
    files.remove_temporaries(path)
    files.write(path, files.readable_json(facts))


@dataclass(frozen=True)
class CleanTask:
    """Makes work/clean/<shard>.*"""

    shard: InputShard

    def __str__(self) -> str:
        return f"clean-{self.shard.base}"

    @property
    def size(self) -> int:
        return self.shard.text_bytes

    @property
    def record(self) -> Path:
        return self.shard.work("clean", ".json")

    def is_finished(self) -> bool:
        return record.is_finished(self.record, self.shard.cleaned)

    def run(self) -> Iterator[int]:
        shard, config = self.shard, self.shard.config.deduplicate
        assert config is not None
        self.record.parent.mkdir(parents=True, exist_ok=True)
        record.forget(self.record, [shard.work("clean", suffix) for suffix in SUFFIXES])
        cleaned = CleanedShard(shard)
        texts = TextWriter(shard.work("clean", ".text"), shard.work("clean", ".length"))
        index = _Index(shard, config)
        for batch, sizes, amount in cleaned:
            texts.add(batch, sizes)
            index.add(batch)
            yield amount
        texts.finish()
        made = [*texts.paths, *index.finish()]
        record.publish(
            self.record,
            shard.cleaned,
            made,
            rows=index.rows(),
            inputs=[piece.model_dump() for piece in cleaned.inputs],
        )


class _Index:
    """Rows of a shard by which its documents and paragraphs are matched with those of all shards."""

    def __init__(self, shard: InputShard, config: DeduplicateConfig) -> None:
        self._shard, self._config = shard, config
        self._documents = 0
        self._files: dict[str, runs.RunWriter] = {}
        if config.near or config.documents:
            self._files["exact"] = runs.RunWriter(self._path(".exact"), match.COLUMNS["exact"])
            self._exact_pairs = files.temporary_name(self._path(".exact-pairs")).open("wb")
        if config.near:
            self._files["near"] = runs.RunWriter(self._path(".near"), match.COLUMNS["near"])
            self._near_pairs = files.temporary_name(self._path(".near-pairs")).open("wb")
            self._sketch = files.temporary_name(self._path(".sketch")).open("wb")
        if config.paragraphs:
            self._files["paragraph"] = runs.RunWriter(self._path(".paragraph"), PARAGRAPH_COLUMNS)
            self._files["repeats"] = runs.RunWriter(self._path(".repeats"), REPEAT_COLUMNS)
        self._batches: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self._paragraphs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._waiting = self._waiting_paragraphs = 0

    def add(self, texts: native.Texts) -> None:
        """Take the next documents of the shard."""
        if not len(texts):
            return
        config = self._config
        if "exact" in self._files:
            bands = sketches = np.zeros((len(texts), 0), np.uint8)
            has_ngrams = np.zeros(len(texts), bool)
            if config.near:
                bands, sketches, has_ngrams = fingerprint.near(texts, config)
                self._sketch.write(sketches.tobytes())
            self._batches.append((self._documents, native.exact_hash(texts), bands, sketches, has_ngrams))
            self._waiting += len(texts)
        if config.paragraphs:
            hashes, offsets = native.paragraph_hashes(texts)
            self._add_paragraphs(hashes[:, 0], hashes[:, 2], np.diff(offsets))
        self._documents += len(texts)
        if self._waiting >= _RUN_DOCUMENTS:
            self._flush()
        if self._waiting_paragraphs >= _RUN_PARAGRAPHS:
            self._flush_paragraphs()

    def rows(self) -> dict[str, int]:
        return {name: writer.rows for name, writer in self._files.items()}

    def finish(self) -> list[Path]:
        """Publish all files; returns them."""
        self._flush()
        self._flush_paragraphs()
        for writer in self._files.values():
            writer.finish()
        made = [writer.path for writer in self._files.values()]
        streams = []
        if "exact" in self._files:
            streams.append((self._exact_pairs, ".exact-pairs"))
        if "near" in self._files:
            streams += [(self._near_pairs, ".near-pairs"), (self._sketch, ".sketch")]
        for stream, suffix in streams:
            stream.close()
            path = self._path(suffix)
            files.publish(files.temporary_name(path), path)
            made.append(path)
        return made

    def _path(self, suffix: str) -> Path:
        return self._shard.work("clean", suffix)

    def _flush(self) -> None:
        """One run of document hashes and bands. Copies within the run become pairs at once and are left out."""
        if not self._batches:
            return
        first = self._batches[0][0]
        hashes, bands, sketches, has_ngrams = (
            np.concatenate([batch[column] for batch in self._batches]) for column in (1, 2, 3, 4)
        )
        self._batches, self._waiting = [], 0
        numbers = np.arange(first, first + len(hashes), dtype=np.uint32)
        copy_of = _first_copy(hashes)
        fresh = np.flatnonzero(copy_of == np.arange(len(hashes)))
        copies = np.flatnonzero(copy_of != np.arange(len(hashes)))
        self._exact_pairs.write(self._pairs(numbers[copy_of[copies]], numbers[copies]))
        self._files["exact"].add(
            {"high": hashes[fresh, 0], "low": hashes[fresh, 1], "document": numbers[fresh]}
        )
        if self._config.near:
            fresh = fresh[has_ngrams[fresh]]
            self._flush_bands(fresh, numbers, bands, sketches)

    def _flush_bands(
        self, fresh: np.ndarray, numbers: np.ndarray, bands: np.ndarray, sketches: np.ndarray
    ) -> None:
        band = bands[fresh].reshape(-1)
        document = np.repeat(fresh, bands.shape[1])
        order = native.stable_order(band)
        band, document = band[order], document[order]
        first = _run_starts(band)
        far = np.arange(len(band)) - first >= _LONG_RUN
        pairs = match.unique_pairs(np.stack([document[first[far]], document[far]], axis=1))
        similar = fingerprint.similarity(sketches[pairs[:, 0]], sketches[pairs[:, 1]])
        pairs = pairs[similar >= self._config.similarity]
        self._near_pairs.write(self._pairs(numbers[pairs[:, 0]], numbers[pairs[:, 1]]))
        self._files["near"].add({"band": band[~far], "document": numbers[document[~far]]})

    def _pairs(self, left: np.ndarray, right: np.ndarray) -> bytes:
        ids = [match.document_ids(self._shard.index, side) for side in (left, right)]
        return np.stack(ids, axis=1).tobytes()

    def _add_paragraphs(self, hashes: np.ndarray, characters: np.ndarray, counts: np.ndarray) -> None:
        document = np.repeat(
            np.arange(self._documents, self._documents + len(counts), dtype=np.uint32), counts
        )
        paragraph = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
        long = characters >= self._config.paragraph_characters
        self._paragraphs.append((hashes[long], document[long], paragraph[long].astype(np.uint32)))
        self._waiting_paragraphs += int(long.sum())

    def _flush_paragraphs(self) -> None:
        if not self._paragraphs:
            return
        columns = [np.concatenate(parts) for parts in zip(*self._paragraphs, strict=True)]
        self._paragraphs, self._waiting_paragraphs = [], 0
        order = native.stable_order(columns[0])
        hashes, documents, paragraphs = (column[order] for column in columns)
        # A line that a run holds so often is boilerplate: most of it goes here, not through the match of all shards.
        far = np.arange(len(hashes)) - _run_starts(hashes) >= _LONG_RUN
        self._files["repeats"].add(
            {
                "document": match.document_ids(self._shard.index, documents[far]),
                "paragraph": paragraphs[far],
            }
        )
        rows = (hashes[~far], documents[~far], paragraphs[~far])
        self._files["paragraph"].add(dict(zip(PARAGRAPH_COLUMNS, rows, strict=True)))


def _run_starts(ordered: np.ndarray) -> np.ndarray:
    """Position of the first equal value, for each of an ordered array."""
    fresh = np.ones(len(ordered), bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    return np.maximum.accumulate(np.where(fresh, np.arange(len(ordered)), 0))


def _first_copy(hashes: np.ndarray) -> np.ndarray:
    """For each row of uint64 (N, 2), the first row that equals it."""
    order = match.stable_order(hashes[:, 0], hashes[:, 1])  # stable: of equal rows, the first comes first
    ordered = hashes[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))
    found = np.empty(len(order), np.int64)
    found[order] = order[starts]
    return found


def check_documents(shards: tuple[InputShard, ...]) -> None:
    """UserError when a source has no document left."""
    for name in dict.fromkeys(shard.source.name for shard in shards):
        own = [shard for shard in shards if shard.source.name == name]
        if not any(shard.work("clean", ".length").stat().st_size for shard in own):
            inputs = ", ".join(own[0].source.inputs)
            raise UserError(f"source {name!r}: 0 documents in {inputs} after cleaning; at least 1 is needed")
