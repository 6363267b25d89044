"""One input shard -> its train and validation shard: .bin, .idx and, last, the .json that makes them count."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson

from taixue import UserError

from . import files, indexed, manifest, read
from .plan import SPLITS, InputShard
from .tokenizer import Tokenizer, load_tokenizer

_BATCH_BYTES = 4_000_000


def is_finished(shard: InputShard) -> bool:
    """Whether both shards are there whole and were made from the same things."""
    for split in SPLITS:
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
        except (OSError, UserError):
            return False
    return True


def make_shard(shard: InputShard) -> Iterator[int]:
    """Read, split, tokenize and publish one input shard; yield bytes of text as they are done."""
    tokenizer = load_tokenizer(shard.tokenizer)
    rejected: list[read.Rejected] = []
    inputs: list[manifest.InputRecord] = []
    dtype = indexed.token_dtype(tokenizer.vocab_size)
    for split in SPLITS:
        shard.manifest_path(split).unlink(missing_ok=True)
        for suffix in (".bin", ".idx", ".json"):
            files.remove_temporaries(shard.manifest_path(split).with_suffix(suffix))
    prefixes = [Path(shard.output) / shard.name(split) for split in SPLITS]
    with indexed.Writer(prefixes[0], dtype) as train, indexed.Writer(prefixes[1], dtype) as validation:
        sinks = [_Sink(writer, tokenizer) for writer in (train, validation)]
        for piece in shard.pieces:
            before, lines = sum(sink.documents for sink in sinks), len(rejected)
            for text in read.documents(piece, shard.text_field, rejected.append):
                raw = text.encode()
                first = shard.held_out_first if not any(sink.documents for sink in sinks) else None
                held_out = first == "validation" if first else _is_held_out(raw, shard)
                yield sinks[held_out].add(text, len(raw))
            documents = sum(sink.documents for sink in sinks) - before
            inputs.append(
                manifest.InputRecord(**vars(piece), documents=documents, rejected=len(rejected) - lines)
            )
        _write_quarantine(shard, rejected)
        described = manifest.TokenizerRecord(
            sha256=tokenizer.sha256,
            kind=tokenizer.kind,
            library=tokenizer.library,
            vocab_size=tokenizer.vocab_size,
            eos_id=tokenizer.eos_id,
        )
        for split, sink in zip(SPLITS, sinks, strict=True):
            yield sink.flush()
            written = sink.finish()
            record = manifest.ShardManifest(
                name=shard.name(split),
                split=split,
                source=shard.source,
                **vars(written),
                bytes=sink.bytes,
                dtype=dtype.name,
                tokenizer=described,
                stamp=shard.stamp,
                inputs=tuple(inputs),
                held_out_first=shard.held_out_first or "",
            )
            manifest.write(shard.manifest_path(split), record)


class _Sink:
    """Collects documents of one split and tokenizes them in batches. Every document ends with eos."""

    def __init__(self, writer: indexed.Writer, tokenizer: Tokenizer) -> None:
        self._writer, self._tokenizer = writer, tokenizer
        self._texts: list[str] = []
        self._waiting = 0
        self._eos = np.array([tokenizer.eos_id], np.int32)
        self.documents = 0
        self.bytes = 0

    def add(self, text: str, size: int) -> int:
        """Take a text of `size` bytes; return the bytes tokenized by this call, mostly 0."""
        self._texts.append(text)
        self._waiting += size
        self.documents += 1
        self.bytes += size
        return self.flush() if self._waiting >= _BATCH_BYTES else 0

    def finish(self) -> indexed.Written:
        """Publish the pair; without documents, no files at all."""
        return self._writer.finish() if self.documents else self._writer.discard()

    def flush(self) -> int:
        """Tokenize and write what is waiting; return its bytes."""
        done = self._waiting
        if self._texts:
            parts = [part for ids in self._tokenizer.encode(self._texts) for part in (ids, self._eos)]
            tokens = np.concatenate(parts)
            lengths = np.fromiter(map(len, parts), np.int64).reshape(-1, 2).sum(axis=1)
            self._writer.add(tokens, lengths)
        self._texts, self._waiting = [], 0
        return done


def _is_held_out(raw: bytes, shard: InputShard) -> bool:
    """Decided by the text alone, so copies of a document are on the same side."""
    digest = hashlib.blake2b(raw, digest_size=8, key=str(shard.seed).encode()).digest()
    return int.from_bytes(digest, "little") < shard.validation_fraction * 2.0**64


def _write_quarantine(shard: InputShard, rejected: list[read.Rejected]) -> None:
    files.remove_temporaries(shard.quarantine)
    if rejected:
        files.write(shard.quarantine, b"".join(orjson.dumps(line) + b"\n" for line in rejected))
    else:
        shard.quarantine.unlink(missing_ok=True)
