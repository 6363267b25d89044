"""Which files an input names, and which of what it names are not read."""

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn

from taixue.base import UserError

from . import filesystem, kinds
from .records import Piece

HUB, PACKAGE = "hf:", "package:"
PACKAGED = {"sample": Path(__file__).parents[1] / "sample"}
"""Texts that come with Taixue, from whatever folder it is called: `package:sample`."""

_SIDE_FILES = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")  # of HF folders
_UNFINISHED = "_temporary"  # Hadoop's and Spark's folder of attempts


class Left(NamedTuple):
    """A file that an input names and that is not read."""

    path: str
    reason: str


class Found(NamedTuple):
    """files: sorted, local ones and URLs; a file reached by two names counts once. left: what is not read."""

    files: tuple[str, ...]
    left: tuple[Left, ...]


def find(inputs: Iterable[str]) -> Found:
    """What files, folders, glob patterns, URLs, hf: and package: names name.

    Folders are searched through symbolic links, each real folder once. A file in a folder, or one that a pattern names,
    is read when its ending or its content is that of documents. UserError when an input names nothing that is read or
    cannot be looked at, a named file has an ending that is not understood, something with such an ending is a link that
    leads nowhere, a pipe or a device, or a folder cannot be read.
    """
    inputs = tuple(inputs)
    found: set[str] = set()
    left: dict[str, str] = {}
    for text in inputs:
        try:
            files = set(_named_by(text, left.setdefault))
        except OSError as error:
            raise UserError(f"{error.filename or text}: cannot be read: {error.strerror or error}") from None
        if not files:
            reasons = sorted({f"{reason}: {path}" for path, reason in left.items()})
            also = f"; not read: {reasons[0]}" if reasons else ""
            if not (set("*?[") & set(text)) and not filesystem.is_remote(text) and not os.path.lexists(text):
                raise UserError(f"input {text!r} does not exist (working folder {os.getcwd()})")
            raise UserError(
                f"input {text!r} names no document file (working folder {os.getcwd()}){also}; {kinds.LEGAL}"
            )
        found |= files
    real: dict[str, str] = {}
    for file in sorted(found):
        real.setdefault(file if filesystem.is_remote(file) else os.path.realpath(file), file)
    named = found | {text.rstrip("/") for text in inputs}
    return Found(
        tuple(sorted(real.values())),
        tuple(Left(path, reason) for path, reason in sorted(left.items()) if path not in named),
    )


def find_files(inputs: Iterable[str]) -> list[Path]:
    """The files of `find`, where they must be on this machine. UserError for a URL."""
    files = find(inputs).files
    for file in files:
        if filesystem.is_remote(file):
            raise UserError(f"{file}: these files are read from this machine only; copy them here")
    return [Path(file) for file in files]


def whole(path: str | Path) -> Piece:
    """The piece that is a whole file."""
    return Piece(str(path), 0, filesystem.size(path))


_Leave = Callable[[str, str], object]
"""Takes a file that is not read, and why."""


def _named_by(text: str, leave: _Leave) -> Iterator[str]:
    path = Path(text)
    if text.startswith(HUB):
        yield from _hub_files(text)
    elif text.startswith(PACKAGE):
        yield from _below(_packaged(text), leave)
    elif filesystem.is_remote(text):
        yield from _remote(text, leave)
    elif path.is_dir():
        yield from _below(path, leave)
    elif path.is_file():
        kinds.kind_of(path)
        yield text
    else:
        for name in [text] if path.is_symlink() else glob.glob(text, recursive=True):
            if Path(name).is_dir():
                if kinds.by_name(name):
                    yield from _below(Path(name), leave)
                elif "**" not in text:
                    leave(name, "a folder; name it, or search it with **")
            elif _is_read(Path(name), leave):
                yield name


def _packaged(text: str) -> Path:
    folder = PACKAGED.get(text.removeprefix(PACKAGE))
    if folder is None:
        legal = ", ".join(PACKAGE + name for name in PACKAGED)
        raise UserError(f"input {text!r} does not come with Taixue; there is {legal}")
    return folder


def _remote(url: str, leave: _Leave) -> Iterator[str]:
    names = filesystem.named_by(url)
    if names == [url]:
        kinds.kind_of(url)
        yield url
        return
    folder = re.split(r"[*?[]", url)[0]
    for name in names:
        if any(
            part.startswith(".") or part == _UNFINISHED for part in name.removeprefix(folder).split("/")[:-1]
        ):
            leave(name, "in a hidden or unfinished folder")
        elif _is_document(name, leave):
            yield name


def _below(folder: Path, leave: _Leave) -> Iterator[str]:
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=_unreadable, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in [name for name in folders if name.startswith(".") or name == _UNFINISHED]:
            leave(os.path.join(place, name), "a hidden or unfinished folder")
            folders.remove(name)
        for name in names:
            if _is_read(Path(place, name), leave):
                yield os.path.join(place, name)


def _is_read(file: Path, leave: _Leave) -> bool:
    if kinds.by_name(file) and not file.name.startswith("."):
        _check(file)
    elif not file.is_file():
        return False
    return _is_document(str(file), leave)


def _is_document(file: str, leave: _Leave) -> bool:
    """Whether a file that was not named by itself is read. OSError when its content is asked and cannot be read."""
    name = PurePosixPath(file).name
    kind = kinds.by_name(file)
    if name.startswith("."):
        reason = "hidden"
    elif name in _SIDE_FILES:
        reason = "describes a data set of Hugging Face"
    elif kind:
        return True
    elif not kinds.has_no_ending(file):
        reason = f"the ending {PurePosixPath(file).suffix} is not read"
    elif name.startswith("_"):
        reason = "a mark of Hadoop or Spark"
    else:
        kind = kinds.by_content(file)
        if kind and (kind.format != ".txt" or kinds.may_be_text(file)):
            return True
        reason = (
            "no ending, and text; name it part-... or .txt to have it read"
            if kind
            else "no ending, and no text"
        )
    leave(file, reason)
    return False


def _unreadable(error: OSError) -> NoReturn:
    raise UserError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _check(file: Path) -> None:
    if file.is_symlink() and not os.path.exists(file):
        raise UserError(f"{file}: a symbolic link that leads nowhere; repair or remove it")
    if not file.is_file():
        raise UserError(
            f"{file}: not a file but a pipe, a socket or a device; remove it, or name the files to read"
        )


def _hub_files(text: str) -> Iterator[str]:
    """The arrow files of a dataset of the Hub, downloaded by the datasets library unless they are there."""
    name, config, split = [*text.removeprefix(HUB).split(":"), "", ""][:3]
    try:
        import datasets
    except ImportError:
        raise UserError(
            f"{text}: the datasets package is missing; pip install 'taixue-pretrain[hub]'"
        ) from None
    if config and not split:  # hf:name:train
        config, split = "", config
    try:
        data = datasets.load_dataset(name, config or None, split=split or "train")
    except Exception as error:  # the library raises many kinds, from network to schema
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"{text}: the dataset cannot be loaded: {first[0]}") from None
    for entry in data.cache_files:
        yield str(entry["filename"])
