"""Bytes of files on this machine, and of those whose name is a URL (s3://, oss://, hdfs://, ...) by fsspec.

A remote file is read by ranges: one that fails, or comes short, is asked for again, and the file must still be the one
that was opened. So a stream is whole or an error. Credentials and endpoints are those of fsspec's own configuration
(FSSPEC_... variables, ~/.config/fsspec) and of its plugins.
"""

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from taixue.base import UserError

_BLOCK = 1 << 20
_RANGE = 8 << 20
_PAUSES = (0.5, 2.0, 8.0, 30.0)  # seconds before a range is asked for again
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_VERSIONS = ("ETag", "etag", "generation", "checksum", "mtime", "LastModified", "last_modified", "created")
_LEGAL = "legal: a path, or s3://, oss://, gs://, hdfs:// and what else fsspec has a plugin for"


def is_remote(path: str | Path) -> bool:
    return "://" in str(path)


def facts(path: str | Path) -> list[Any]:
    """[size, ...]: equal as long as the content is, as far as can be known without reading it.

    On this machine: size, and the times at which the content and the file's entry were changed; the second is the
    system's own, which neither copies nor `touch` can set. Elsewhere: size and the storage's version or date.
    """
    if not is_remote(path):
        status = os.stat(path)
        return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    info = _info(path)
    return [int(info["size"]), *(str(info[key]) for key in _VERSIONS if info.get(key) is not None)]


def size(path: str | Path) -> int:
    """Bytes of the file."""
    return int(_info(path)["size"]) if is_remote(path) else os.stat(path).st_size


def open_file(path: str | Path) -> IO[bytes]:
    """The file for reading and seeking; its `read(count)` gives less only at the end of the file."""
    if is_remote(path):
        return io.BufferedReader(_Ranges(str(path)), _RANGE)
    return open(path, "rb")


def blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """From the stream's place to the end of the file. OSError when that comes before its size."""
    place = stream.tell()
    expected = stream.seek(0, os.SEEK_END)
    stream.seek(place)
    while block := stream.read(_BLOCK):
        place += len(block)
        yield block
    if place < expected:
        raise OSError(f"it ends at byte {place:,}; it had {expected:,}")


def named_by(url: str) -> list[str]:
    """The files that the URL of a file, of a folder or of a pattern names, folders with everything below them.

    UserError when the storage is unknown, not installed or cannot be asked.
    """
    system, path = _system(url)
    # What the storage's own names leave out of a URL: the protocol, and perhaps a host.
    prefix = url[: url.index(path)] if path in url else url.partition("://")[0] + "://"
    found = []
    try:
        for name in sorted(system.glob(path)) if set(path) & set("*?[") else [path]:
            if system.isdir(name):
                found += sorted(system.find(name))
            elif system.exists(name):
                found.append(name)
    except Exception as error:  # each plugin has its own
        raise UserError(f"{url}: cannot be listed: {_first_line(error)}") from None
    return [prefix + name for name in found]


class _Ranges(io.RawIOBase):
    """A remote file, read by ranges. OSError when one cannot be had, or when the file is not what it was any more."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._system, self._path = _system(url)
        self._facts = facts(url)
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._facts[0]}[whence]
        self._place = max(start + place, 0)
        return self._place

    def readinto(self, buffer: Any) -> int:
        end = min(self._place + min(len(buffer), _RANGE), self._facts[0])
        if end <= self._place:
            return 0
        data = self._range(self._place, end)
        buffer[: len(data)] = data
        self._place = end
        return len(data)

    def _range(self, begin: int, end: int) -> bytes:
        for pause in (*_PAUSES, None):
            try:
                data: bytes = self._system.cat_file(self._path, start=begin, end=end)
                if len(data) == end - begin:
                    return data
                fault = f"{len(data):,} bytes came where {end - begin:,} are"
            except _LASTING:
                raise
            except Exception as error:  # each plugin has its own
                fault = _first_line(error)
            self._system.invalidate_cache()
            if facts(self._url) != self._facts:
                raise OSError(f"it was changed while it was read (at byte {begin:,})")
            if pause is not None:
                time.sleep(pause)
        raise OSError(f"{fault} (bytes {begin:,} to {end:,}, asked for {len(_PAUSES) + 1} times)")


def _info(path: str | Path) -> dict[str, Any]:
    system, name = _system(str(path))
    try:
        info: dict[str, Any] = system.info(name)
        int(info["size"])
    except (KeyError, TypeError, ValueError):
        raise OSError("the storage does not say how large it is") from None
    except OSError:
        raise
    except Exception as error:
        raise OSError(_first_line(error)) from None
    return info


def _system(url: str) -> tuple[Any, str]:
    """(file system, its own name of the file)."""
    from fsspec.core import url_to_fs

    protocol = url.partition("://")[0]
    if not protocol.isalnum():  # a chain of them would open what is not meant
        raise UserError(f"{url}: {protocol!r} is no storage; {_LEGAL}")
    try:
        system, path = url_to_fs(url)
    except ValueError as error:
        raise UserError(f"{url}: {_first_line(error)}; {_LEGAL}") from None
    except ImportError as error:
        raise UserError(f"{url}: the plugin for {protocol}:// is missing: {_first_line(error)}") from None
    except Exception as error:
        raise UserError(f"{url}: {protocol}:// cannot be used: {_first_line(error)}") from None
    return system, str(path)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
