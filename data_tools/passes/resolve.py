"""Pass `resolve`: all pairs of copies -> the documents that go. One task; its memory is bounded all the same.

Documents joined by pairs, directly or through others, are one group. Its best document stays: of the source that is
listed first, then the longest, then the first in the inputs. Those that are copies of it go; of the others, which only
a chain of copies joins to it, again the best stays, and so on: what a document goes for is like it, and stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from taixue.base import files

from . import components, match, record, runs
from .cut import STATISTICS_FOLDER, WORK_FOLDER, InputShard, digest
from .texts import read_text

_SAMPLES = 8
_EXCERPT = 300
_LENGTH_BITS = 40
_MOST_KEPT = 64  # documents of a group that others go for; what resembles none of them stays, too


@dataclass(frozen=True)
class ResolveTask:
    """Makes work/resolve/removed.*: ids of the documents that go, ascending; the one kept for each; and why."""

    shards: tuple[InputShard, ...]
    pairs: tuple[tuple[match.Kind, Path], ...]

    def __str__(self) -> str:
        return "resolve"

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for _, path in self.pairs)

    @property
    def folder(self) -> Path:
        return self.shards[0].output / WORK_FOLDER / "resolve"

    @property
    def stamp(self) -> str:
        return digest([shard.cleaned for shard in self.shards])

    def is_finished(self) -> bool:
        return record.is_finished(self.folder / "removed.json", self.stamp)

    def run(self) -> Iterator[int]:
        config = self.shards[0].config.deduplicate
        assert config is not None
        names = ("removed.id", "removed.kept", "removed.exact")
        made = [self.folder / name for name in names]
        self.folder.mkdir(parents=True, exist_ok=True)
        record.forget(self.folder / "removed.json", made)
        work = self.folder / "temporary"
        components.clear(work)
        paths = [path for _, path in self.pairs]
        most = max(1, config.memory_mb * 1_000_000 // components.EDGE_MEMORY)
        cuts = components.cut_ids(paths, 1, match.DOCUMENT_BITS, most)
        members = work / "members"
        with members.open("wb") as stream:
            for rows in components.components(paths, cuts, work):
                stream.write(rows.tobytes())
        group_cuts = components.cut_ids([members], 0, match.DOCUMENT_BITS, most)
        groups = components.Parts(work, "groups", group_cuts)
        for rows in components.read_pairs([members]):
            groups.add(rows, 0)
        members.unlink()
        losers = components.Parts(work, "losers", cuts)
        for part in range(len(group_cuts)):
            losers.add(self._losers(groups.take(part)), 0)
        copies, firsts = (components.Parts(work, name, cuts) for name in ("copies", "firsts"))
        for rows in components.components([path for kind, path in self.pairs if kind == "exact"], cuts, work):
            copies.add(rows, 1)
            firsts.add(rows, 0)
        counts = {"removed": 0, "exact": 0}
        samples: list[dict[str, Any]] = []
        streams = [files.temporary_name(path).open("wb") for path in made]
        for part in range(len(cuts)):
            rows = losers.take(part)
            rows = rows[np.argsort(rows[:, 0])]
            is_exact = np.zeros(len(rows), bool)
            for pairs in copies.blocks(part):
                is_exact |= np.isin(rows[:, 0], pairs[:, 1])
            for pairs in firsts.blocks(part):  # the first of its copies goes for a longer one
                is_exact |= np.isin(_whole(rows), _whole(pairs))
            for stream, column in zip(streams, (rows[:, 0], rows[:, 1], is_exact), strict=True):
                stream.write(column.tobytes())
            counts["removed"] += len(rows)
            counts["exact"] += int(is_exact.sum())
            near = rows[~is_exact][: _SAMPLES - len(samples)].tolist()
            samples += [self._sample(removed, kept) for removed, kept in near]
        for stream, path in zip(streams, made, strict=True):
            stream.close()
            files.publish(files.temporary_name(path), path)
        work.rmdir()
        path = self.shards[0].output / STATISTICS_FOLDER / "resolve.json"
        path.parent.mkdir(exist_ok=True)
        files.remove_temporaries(path)
        files.write(path, files.readable_json({"counts": counts, "samples": samples}))
        record.publish(self.folder / "removed.json", self.stamp, made)
        yield self.size

    def _losers(self, members: np.ndarray) -> np.ndarray:
        """(root, document) of whole groups, without the roots -> (document that goes, the one that is kept)."""
        tops = np.unique(members[:, 0])
        members = np.concatenate([members, np.stack([tops, tops], axis=1)])
        roots, documents = members[:, 0], members[:, 1]
        names = [source.name for source in self.shards[0].config.sources]
        places = np.array([names.index(shard.source.name) for shard in self.shards], np.uint64)
        owners = (documents >> np.uint64(match.DOCUMENT_BITS)).astype(np.int64)
        # Smaller is better: the place of the source, then the length counted down.
        score = (places[owners] << np.uint64(_LENGTH_BITS)) + (
            np.uint64((1 << _LENGTH_BITS) - 1) - self._lengths(documents, owners)
        )
        order = np.lexsort((documents, score, roots))
        roots, documents = roots[order], documents[order]
        found = [np.zeros((0, 2), np.uint64)]
        for turn in range(_MOST_KEPT):
            fresh = np.ones(len(roots), bool)
            fresh[1:] = roots[1:] != roots[:-1]
            starts, rest = np.flatnonzero(fresh), ~fresh
            sizes = np.diff(np.append(starts, len(roots)))
            pairs = np.stack([np.repeat(documents[starts], sizes), documents], axis=1)[rest]
            # Two are a group because they are a pair.
            are_copies = np.repeat(sizes == 2, sizes)[rest] & (turn == 0)
            are_copies[~are_copies] = self._are_copies(pairs[~are_copies])
            found.append(pairs[are_copies][:, ::-1])
            rest[rest] = ~are_copies
            roots, documents = roots[rest], documents[rest]
        return np.concatenate(found)

    def _are_copies(self, pairs: np.ndarray) -> np.ndarray:
        """Which pairs of documents are like each other, bool (N,)."""
        config = self.shards[0].config.deduplicate
        assert config is not None
        if not config.near:
            return np.ones(len(pairs), bool)
        has_sketch = np.array(["near" in shard.copies for shard in self.shards])
        owners = (pairs >> np.uint64(match.DOCUMENT_BITS)).astype(np.int64)
        are = np.asarray(has_sketch[owners].all(axis=1))
        are[are] = match.are_similar(pairs[are], self.shards)
        are[~are] = match.are_equal(pairs[~are], self.shards)
        return are

    def _lengths(self, documents: np.ndarray, owners: np.ndarray) -> np.ndarray:
        numbers = (documents & np.uint64((1 << match.DOCUMENT_BITS) - 1)).astype(np.int64)
        found = np.zeros(len(documents), np.uint64)
        order = np.argsort(owners, kind="stable")
        for begin, end in runs.stretches(owners[order]):
            rows = order[begin:end]
            table = np.memmap(self.shards[owners[rows[0]]].work("clean", ".length"), "<u4", "r")
            found[rows] = table[numbers[rows]]
        return found

    def _sample(self, removed: int, kept: int) -> dict[str, Any]:
        return {"removed": self._excerpt(removed), "kept": self._excerpt(kept)}

    def _excerpt(self, document: int) -> dict[str, Any]:
        shard = self.shards[document >> match.DOCUMENT_BITS]
        number = document & ((1 << match.DOCUMENT_BITS) - 1)
        text = read_text(shard.work("clean", ".text"), shard.work("clean", ".length"), number)
        excerpt = text.decode()[:_EXCERPT]
        return {"source": shard.source.name, "shard": shard.number, "document": number, "text": excerpt}


class Removed:
    """The documents that go, mapped."""

    def __init__(self, shard: InputShard) -> None:
        folder = shard.output / WORK_FOLDER / "resolve"
        self._ids = _mapped(folder / "removed.id", np.uint64)
        self._exact = _mapped(folder / "removed.exact", np.bool_)

    def without(self, rows: runs.Rows) -> runs.Rows:
        """The rows whose `document` stays."""
        stays = ~match.are_among(rows["document"], self._ids)
        return {name: column[stays] for name, column in rows.items()}

    def of(self, shard: InputShard) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the documents of a shard that go, int64, ascending, and whether each is an exact copy, bool."""
        base = shard.index << match.DOCUMENT_BITS
        ends = [np.uint64(base), np.uint64(base + (1 << match.DOCUMENT_BITS))]
        begin, end = np.searchsorted(self._ids, ends).tolist()
        return (self._ids[begin:end] - np.uint64(base)).astype(np.int64), np.array(self._exact[begin:end])


def _whole(pairs: np.ndarray) -> np.ndarray:
    """Pairs (N, 2) as one value each."""
    return np.ascontiguousarray(pairs).view("<u8,<u8")[:, 0]


def _mapped(path: Path, dtype: type[np.generic]) -> np.ndarray:
    return np.memmap(path, dtype, "r") if path.stat().st_size else np.zeros(0, dtype)
