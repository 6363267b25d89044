"""The folder of a checkpoint, how it becomes visible, and how damage is found.

    checkpoints/step-00001000/
        rank-00000.safetensors ...   tensors of the flat dict: model.<name>, optim.<state>.<name>
        index.json                   dtype, shape and pieces (file, offsets, sizes) of every tensor
        state.json                   step, samples, seed, data fingerprint, resolved config, objective, loss scale
        manifest.json                size and sha256 of every file above, and of itself

A checkpoint is written as step-00001000.tmp, synced to disk and renamed: a name that matches
`step-<digits>` is complete. It is never written to again. A damaged one is renamed to
step-00001000.corrupt, never deleted.
"""

import hashlib
import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from taixue.base import UserError
from taixue.base.files import sync

INDEX, STATE, MANIFEST = "index.json", "state.json", "manifest.json"
FORMAT, VERSION = "taixue-checkpoint", 1
UNFINISHED, CORRUPT = ".tmp", ".corrupt"
_COMMITTED = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Digest:
    """Size in bytes and sha256 of one file."""

    size: int
    sha256: str


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of `step` lives among the checkpoints in `folder`."""
    return folder / f"step-{step:08d}"


def step_of(checkpoint: Path) -> int | None:
    """The step a committed checkpoint's name stands for; None for any other name."""
    match = _COMMITTED.fullmatch(checkpoint.name)
    return int(match[1]) if match else None


def committed(folder: Path) -> list[Path]:
    """Checkpoints that were committed, newest (highest step) first. Times of files play no part."""
    try:
        entries = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [(step, path) for path in entries if (step := step_of(path)) is not None and path.is_dir()]
    return [path for _, path in sorted(found, reverse=True)]


def steps(folder: Path) -> set[int]:
    """Those whose checkpoints in `folder` were committed."""
    return {step for path in committed(folder) if (step := step_of(path)) is not None}


def set_aside(folder: Path) -> list[str]:
    """Names of the damaged checkpoints that are kept in `folder`."""
    return sorted(path.name for path in folder.glob(f"step-*{CORRUPT}*"))


def digest(path: Path) -> Digest:
    """Read a file once and say what is in it."""
    with path.open("rb") as file:
        return Digest(os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest())


def write_json(path: Path, content: dict[str, Any]) -> Digest:
    """Write content in canonical form (sorted, indented) and sync it."""
    path.write_bytes(_canonical(content))
    sync(path)
    return digest(path)


def commit(temporary: Path, final: Path, step: int, files: dict[str, Digest]) -> None:
    """Write the manifest and make the checkpoint visible as `final`. Raises OSError if that exists."""
    body = {
        "format": FORMAT,
        "version": VERSION,
        "step": step,
        "files": {name: {"size": file.size, "sha256": file.sha256} for name, file in files.items()},
    }
    write_json(temporary / MANIFEST, body | {"sha256": _body_digest(body)})
    sync(temporary)
    temporary.rename(final)
    sync(final.parent)


def discard(path: Path) -> None:
    """Remove a checkpoint folder; killed half-way, what is left has no committed name."""
    if step_of(path) is not None:
        path = path.rename(path.with_name(path.name + UNFINISHED))
    shutil.rmtree(path)


def clear_unfinished(folder: Path) -> None:
    """Remove what earlier, interrupted saves left behind."""
    for path in folder.glob("step-*" + UNFINISHED):
        shutil.rmtree(path)


def problems(checkpoint: Path, part: int = 0, parts: int = 1) -> list[str]:
    """What is wrong with a checkpoint; empty when it is intact.

    Reads the manifest and every byte of the files number part, part + parts, ... of it: ranks share the
    work. Finds any changed, missing, cut or exchanged file. Raises UserError for one written by a newer
    Taixue, and where the file system refuses to read what is there, which says nothing about the checkpoint.
    """
    try:
        manifest = _manifest(checkpoint)
        files = sorted(manifest["files"].items())[part::parts]
        return [problem for name, entry in files if (problem := _file_problem(checkpoint / name, entry))]
    except (ValueError, KeyError, TypeError, AttributeError, FileNotFoundError) as error:
        return [f"{MANIFEST}: {error}"]
    except OSError as error:
        raise UserError(
            f"checkpoint {checkpoint} cannot be read on {platform.node()} ({error}); nothing was changed: mend the "
            "file system or the permissions and start again"
        ) from error


def _manifest(checkpoint: Path) -> dict[str, Any]:
    raw = (checkpoint / MANIFEST).read_bytes()
    manifest = orjson.loads(raw)
    if raw != _canonical(manifest) or manifest.pop("sha256") != _body_digest(manifest):
        raise ValueError("its own digest does not match")
    if manifest["version"] > VERSION:
        raise UserError(
            f"{checkpoint}: written in checkpoint format {manifest['version']}, this Taixue reads up to "
            f"{VERSION}: update Taixue or start the run under another name"
        )
    if manifest["step"] != step_of(checkpoint):
        raise ValueError(f"it belongs to step {manifest['step']}")
    return manifest


def _file_problem(path: Path, entry: dict[str, Any]) -> str:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return f"{path.name}: missing"
    if size != entry["size"]:
        return f"{path.name}: {size} bytes, {entry['size']} were written"
    if digest(path).sha256 != entry["sha256"]:
        return f"{path.name}: contents changed since it was written (sha256 differs)"
    return ""


def _canonical(content: dict[str, Any]) -> bytes:
    return orjson.dumps(
        content, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )


def _body_digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()
