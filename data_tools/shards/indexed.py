"""Megatron-core's .bin/.idx pair: writer and memory-mapped reader, byte for byte.

.bin: the tokens of all sequences, nothing else. .idx, little endian: b"MMIDIDX\\0\\0", uint64 version 1,
uint8 dtype code, uint64 sequences S, uint64 document boundaries D; int32 (S,) lengths; int64 (S,) byte
offsets; int64 (D,) first sequence of each document, with S last. Here every document is one sequence, so D =
S + 1.
"""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from taixue.base import UserError, files

_MAGIC = b"MMIDIDX\x00\x00"
_HEADER = struct.Struct("<9sQBQQ")
_CODES: dict[int, type[np.generic]] = {
    1: np.uint8,
    2: np.int8,
    3: np.int16,
    4: np.int32,
    5: np.int64,
    6: np.float64,
    7: np.float32,
    8: np.uint16,
}


def token_dtype(vocab_size: int) -> np.dtype:
    """uint16 below 65,500 ids, else int32: Megatron's rule."""
    return np.dtype(np.uint16 if vocab_size < 65_500 else np.int32)


@dataclass(frozen=True)
class Written:
    """What a finished pair holds; digests are SHA-256 in hex."""

    documents: int
    tokens: int
    bin_sha256: str
    idx_sha256: str


class Writer:
    """Writes documents to temporary names; `finish` makes both files appear. Used as a context manager:
    leaving it without `finish` removes the temporary files."""

    def __init__(self, prefix: Path, dtype: np.dtype) -> None:
        self._bin = prefix.with_name(prefix.name + ".bin")
        self._idx = prefix.with_name(prefix.name + ".idx")
        self._dtype = dtype
        self._lengths: list[np.ndarray] = []
        self._digest = hashlib.sha256()
        self._stream = files.temporary_name(self._bin).open("wb")

    def add(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
        """Append documents: their tokens (N,) one after another, and how many each has (documents,)."""
        raw = tokens.astype(self._dtype).tobytes()
        self._stream.write(raw)
        self._digest.update(raw)
        self._lengths.append(lengths.astype(np.int32))

    def finish(self) -> Written:
        """Publish .bin, then .idx."""
        lengths = np.concatenate([np.zeros(0, np.int32), *self._lengths])
        index = _index_bytes(lengths, self._dtype)
        self._stream.close()
        files.publish(files.temporary_name(self._bin), self._bin)
        files.write(self._idx, index)
        return Written(
            len(lengths),
            int(lengths.sum(dtype=np.int64)),
            self._digest.hexdigest(),
            hashlib.sha256(index).hexdigest(),
        )

    def discard(self) -> Written:
        """Publish nothing, and remove what an earlier build left under these names."""
        self._stream.close()
        for path in (files.temporary_name(self._bin), self._bin, self._idx):
            path.unlink(missing_ok=True)
        return Written(0, 0, "", "")

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        files.temporary_name(self._bin).unlink(missing_ok=True)


def _index_bytes(lengths: np.ndarray, dtype: np.dtype) -> bytes:
    code = next(code for code, known in _CODES.items() if known == dtype.type)
    ends = np.cumsum(lengths, dtype=np.int64) * dtype.itemsize
    offsets = ends - lengths.astype(np.int64) * dtype.itemsize
    boundaries = np.arange(len(lengths) + 1, dtype=np.int64)
    header = _HEADER.pack(_MAGIC, 1, code, len(lengths), len(boundaries))
    return header + lengths.tobytes() + offsets.tobytes() + boundaries.tobytes()


def index_size(documents: int) -> int:
    """Bytes of the .idx of so many documents."""
    return _HEADER.size + 12 * documents + 8 * (documents + 1)


class Reader:
    """A pair, memory-mapped and read-only.

    tokens: (N,) of the file's dtype, all documents one after another. lengths: int32 (S,). offsets: int64
    (S,), in bytes. boundaries: int64 (D,). Opening checks the header, the sizes of both files and the ends of
    the tables; `check_tables` checks every entry. UserError for a file that is missing, truncated, too long
    or not of this format.
    """

    def __init__(self, prefix: Path) -> None:
        self.bin_path = prefix.with_name(prefix.name + ".bin")
        self.idx_path = prefix.with_name(prefix.name + ".idx")
        index_bytes, bin_bytes = _size(self.idx_path), _size(self.bin_path)
        if index_bytes < _HEADER.size:
            raise UserError(
                f"{self.idx_path}: truncated: {index_bytes} bytes, the header alone has {_HEADER.size}"
            )
        with self.idx_path.open("rb") as stream:
            magic, version, code, sequences, boundaries = _HEADER.unpack(stream.read(_HEADER.size))
        if magic != _MAGIC or version != 1 or code not in _CODES:
            raise UserError(
                f"{self.idx_path}: not a Megatron index of version 1 (magic {magic!r}, version {version})"
            )
        self.dtype = np.dtype(_CODES[code])
        expected = _HEADER.size + 12 * sequences + 8 * boundaries
        if self.dtype.kind == "f":
            raise UserError(f"{self.idx_path}: tokens of {self.dtype}; ids are whole numbers")
        if index_bytes != expected or boundaries == 0:
            raise UserError(
                f"{self.idx_path}: {index_bytes} bytes, but its header announces {expected}: {_REPAIR}"
            )
        raw = np.memmap(self.idx_path, np.uint8, "r")
        tables = np.split(raw, np.cumsum([_HEADER.size, 4 * sequences, 8 * sequences]))[1:]
        self.lengths = tables[0].view(np.int32)
        self.offsets = tables[1].view(np.int64)
        self.boundaries = tables[2].view(np.int64)
        end = int(self.offsets[-1]) + int(self.lengths[-1]) * self.dtype.itemsize if sequences else 0
        if end != bin_bytes or end % self.dtype.itemsize:
            raise UserError(f"{self.bin_path}: {bin_bytes} bytes, but its index announces {end}: {_REPAIR}")
        self.tokens = np.memmap(self.bin_path, self.dtype, "r") if bin_bytes else np.zeros(0, self.dtype)

    def check_tables(self) -> None:
        """UserError unless every length, offset and boundary agrees with the others."""
        ends = np.cumsum(self.lengths, dtype=np.int64) * self.dtype.itemsize
        whole = (
            bool(np.all(self.lengths >= 0))
            and np.array_equal(self.offsets[1:], ends[:-1])
            and (len(ends) == 0 or self.offsets[0] == 0)
            and bool(np.all(np.diff(self.boundaries) >= 0))
            and (self.boundaries[0], self.boundaries[-1]) == (0, len(self.lengths))
        )
        if not whole:
            raise UserError(f"{self.idx_path}: its lengths and offsets contradict each other: {_REPAIR}")

    def document(self, number: int) -> np.ndarray:
        """Tokens (length,) of one document, in the file's dtype."""
        begin = int(self.offsets[number]) // self.dtype.itemsize
        return self.tokens[begin : begin + int(self.lengths[number])]


_REPAIR = "the file is damaged; `taixue corpus build` with the same configuration makes it again"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        raise UserError(f"{path}: missing; {_REPAIR.split('; ')[1]}") from None
