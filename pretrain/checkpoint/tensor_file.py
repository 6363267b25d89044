"""Writing a safetensors file without holding the interpreter: the training thread runs on while gigabytes are written.

The format: the header's size (8 bytes, little-endian), the header (JSON: name -> dtype, shape, first and last offset;
padded with spaces to a multiple of 8), the tensors' bytes without gaps. Tensors are in the order of the library's own
writer (wide dtypes first, then by name), which keeps each aligned to its dtype, and so the files are equal to its; but
its are for their owner alone (mode 0600), whatever the umask says. https://github.com/huggingface/safetensors#format
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import torch
from torch import Tensor

from .layout import Digest

# In the library's order.
_DTYPES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ORDER = {dtype: place for place, dtype in enumerate(_DTYPES)}
# Bytes hashed and written at a time. Each piece asks twice for the interpreter, which a busy thread yields after 5 ms.
_PIECE = 16 * 2**20


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> Digest:
    """Write and sync the file; what is in it, taken from the bytes on their way. metadata: words for the header.

    Tensors may be on any device and of any strides: what is not contiguous on the CPU is copied there, one tensor at a
    time. Raises OSError, and KeyError for a dtype not listed above.
    """
    ordered = sorted(tensors.items(), key=lambda item: (_ORDER[item[1].dtype], item[0]))
    sha256, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for piece in _pieces(ordered, metadata):
            sha256.update(piece)
            size += file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return Digest(size, sha256.hexdigest())


def _pieces(
    ordered: list[tuple[str, Tensor]], metadata: Mapping[str, str] | None
) -> Iterator[bytes | memoryview]:
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, tensor in ordered:
        begin, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = orjson.dumps(header)
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for _, tensor in ordered:
        raw = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data
        for start in range(0, len(raw), _PIECE):
            yield raw[start : start + _PIECE]
