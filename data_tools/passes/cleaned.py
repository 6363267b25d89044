"""The documents of an input shard as they leave `read` and `clean`, and what was read and removed on the way.

Evaluation texts go here, before copies are looked for: so no document is given up for one that goes later.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import orjson

from taixue.base import files

from .. import native, read
from ..clean.cleaner import Cleaner
from ..shards import manifest
from .cut import InputShard
from .decontaminate import Decontamination
from .statistics import write_statistics

_BATCH_BYTES = 1_000_000


class CleanedShard:
    """The cleaned documents of an input shard, in batches of 1 to 2 MB.

    Iterate once; then inputs, and the files in quarantine/, decontaminated/ and stats/, say what was read and
    removed. Yields (texts, int64 bytes of each, bytes read since the last batch).
    """

    def __init__(self, shard: InputShard) -> None:
        self._shard = shard
        self._cleaner = Cleaner(shard.config.normalize, shard.config.filters)
        self._decontamination = Decontamination(shard)
        self._rejected: list[read.Rejected] = []
        self._converted: dict[str, Counter[str]] = {}
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
            converted = self._converted.setdefault(piece.path, Counter())
            for texts in read.batches(
                piece, self._shard.source.read_options, self._rejected.append, converted
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
        before = self._left["documents"]
        self._left.update(documents=len(texts), bytes=int(sizes.sum()))
        clear = self._decontamination.take(texts, sizes, before)
        if not clear.all():
            texts, sizes = native.gather([texts]).select(np.flatnonzero(clear)), sizes[clear]
        return texts, sizes, amount

    def _publish(self) -> None:
        shard = self._shard
        files.remove_temporaries(shard.quarantine)
        if self._rejected:
            lines = b"".join(orjson.dumps(line) + b"\n" for line in self._rejected)
            files.write(shard.quarantine, lines)
        else:
            shard.quarantine.unlink(missing_ok=True)
        counts = {
            "rejected": len(self._rejected),
            "converted": dict(sum(self._converted.values(), Counter())),
        }
        encodings = {path: dict(found) for path, found in self._converted.items() if found}
        facts = {
            "read": dict(self._read) | counts | {"encodings": encodings},
            "filter": dict(self._left) | {"details": self._cleaner.counts()},
            "decontaminate": self._decontamination.facts(),
        }
        self._decontamination.publish()
        write_statistics(shard, "clean", facts)
