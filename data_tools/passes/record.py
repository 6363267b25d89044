"""The record of a finished task: a small JSON file that is published after the files it names.

A task counts as finished when its record carries the task's stamp (the digest of everything it is made from) and its
files have the recorded sizes.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from taixue.base import UserError, files


def publish(path: Path, stamp: str, made: Iterable[Path], **facts: Any) -> None:
    """Write the record of a task whose files (all in the record's folder) have their final names."""
    sizes = {file.name: file.stat().st_size for file in made}
    files.write(path, files.readable_json({"stamp": stamp, "files": sizes} | facts))


def read(path: Path) -> dict[str, Any]:
    """The record; {} when there is none that can be read."""
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def is_finished(path: Path, stamp: str) -> bool:
    """Whether the task behind this record is done, from the same things, and its files are still there."""
    found = read(path)
    if found.get("stamp") != stamp:
        return False
    try:
        return all((path.parent / name).stat().st_size == size for name, size in found["files"].items())
    except OSError:
        return False


def forget(path: Path, made: Iterable[Path]) -> None:
    """Before a task is made (again): its record, and what killed writers of its files left behind."""
    path.unlink(missing_ok=True)
    for file in (path, *made):
        files.remove_temporaries(file)


def damaged(path: Path, what: str) -> UserError:
    """A file of a task that is not as the task wrote it."""
    return UserError(f"{path}: damaged: {what}; delete {path.parent} and run the same command again")
