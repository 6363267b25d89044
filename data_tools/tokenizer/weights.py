"""Rows of safetensors files by the byte: copied, or means of several; no torch.

A safetensors file is a little-endian uint64 with the size of a JSON header, the header (name -> dtype, shape, offsets
of the first and behind the last byte), and the tensors' bytes.
"""

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from taixue.base import UserError, files

_ROWS = re.compile(
    r"(^|\.)(shared|embed_tokens|word_embeddings|lm_head|predictions(\.decoder)?)\.(weight|bias)$"
)
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def rewrite(path: Path, target: Path, rows: int, origin: Sequence[Sequence[int]]) -> list[str]:
    """Write target with the vocabulary's tensors (those with so many rows) changed; return their names.

    UserError when the file is damaged, or a tensor of the vocabulary has a dtype other than F64, F32, F16, BF16.
    """
    size = path.stat().st_size
    raw = np.memmap(path, np.uint8, "r") if size else np.zeros(0, np.uint8)
    try:
        length = int(raw[:8].view("<u8")[0])
        if length > size - 8:
            raise ValueError(f"its header of {length} bytes ends behind the file of {size}")
        header: dict[str, Any] = orjson.loads(raw[8 : 8 + length].tobytes())
        _check(header, size - 8 - length)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a safetensors file: {error}") from None
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    changed = [name for name, entry in tensors.items() if _ROWS.search(name) and entry["shape"][:1] == [rows]]
    place = 0
    out: dict[str, Any] = {"__metadata__": header["__metadata__"]} if "__metadata__" in header else {}
    for name, entry in tensors.items():
        begin, end = entry["data_offsets"]
        shape = list(entry["shape"])
        count = end - begin
        if name in changed:
            if entry["dtype"] not in _FLOATS:
                raise UserError(f"{path}: {name} is {entry['dtype']}; legal: {', '.join(_FLOATS)}")
            count = count // rows * len(origin)
            shape[0] = len(origin)
        out[name] = {"dtype": entry["dtype"], "shape": shape, "data_offsets": [place, place + count]}
        place += count
    text = orjson.dumps(out)
    text += b" " * (-len(text) % 8)
    temporary = files.temporary_name(target)
    with temporary.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name, entry in tensors.items():
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            part = raw[begin:end]
            stream.write(_rows(part, entry["dtype"], rows, origin) if name in changed else part.data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(target)
    return changed


def _check(header: dict[str, Any], size: int) -> None:
    """ValueError unless every tensor lies in the file's `size` bytes of data and has as many as its shape says."""
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        (begin, end), shape, dtype = entry["data_offsets"], entry["shape"], entry["dtype"]
        if not all(type(number) is int and number >= 0 for number in (begin, end, *shape)):
            raise ValueError(f"{name}: offsets and shape are whole numbers")
        if not begin <= end <= size:
            raise ValueError(f"{name} has the bytes {begin} to {end}, but there are {size}")
        if dtype in _FLOATS and math.prod(shape) * np.dtype(_FLOATS[dtype]).itemsize != end - begin:
            raise ValueError(f"{name} has {end - begin} bytes, which are no {dtype} of shape {shape}")


def _rows(raw: np.ndarray, dtype: str, rows: int, origin: Sequence[Sequence[int]]) -> bytes:
    """New rows; one with a single origin is a copy, one without any the mean of all."""
    table = raw.reshape(rows, -1)
    out = np.empty((len(origin), table.shape[1]), np.uint8)
    single = np.array([number for number, ids in enumerate(origin) if len(ids) == 1], np.int64)
    out[single] = table[[origin[number][0] for number in single.tolist()]]
    average: np.ndarray | None = None
    for number, ids in enumerate(origin):
        if len(ids) > 1:
            out[number] = _packed(_numbers(table[list(ids)], dtype).mean(axis=0), dtype)
        elif not ids:
            if average is None:
                average = _packed(_numbers(table, dtype).mean(axis=0), dtype)
            out[number] = average
    return out.tobytes()


def _numbers(raw: np.ndarray, dtype: str) -> np.ndarray:
    values = np.ascontiguousarray(raw).view(_FLOATS[dtype])
    if dtype == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return values.astype(np.float64)


def _packed(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype != "BF16":
        return values.astype(_FLOATS[dtype]).view(np.uint8)
    bits = values.astype(np.float32).view(np.uint32)
    # To the nearest, ties to even.
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return rounded.astype(np.uint16).view(np.uint8)
