"""Files that are either whole or absent: temporary name, fsync, rename."""

import hashlib
import os
from pathlib import Path
from typing import Any

import orjson


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def readable_json(value: Any) -> bytes:
    """JSON for files people look at."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def sha256_of_file(path: Path) -> str:
    """Hex digest of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def temporary_name(path: Path) -> Path:
    """A hidden neighbour of path that no other process uses; `remove_temporaries` finds it after a kill."""
    return path.with_name(f".{path.name}.{os.uname().nodename}-{os.getpid()}.tmp")


def remove_temporaries(path: Path) -> None:
    """Remove what killed writers of path left behind."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        left.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(temporary: Path, final: Path) -> None:
    """Give a finished file its name: after this returns it survives a power cut."""
    sync(temporary)
    temporary.replace(final)
    sync(final.parent)


def write(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    temporary = temporary_name(path)
    temporary.write_bytes(content)
    publish(temporary, path)
