"""Which files an input names, and how they may be cut."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from taixue.base import UserError

from .records import Piece

FORMATS = (".jsonl", ".json", ".txt", ".csv", ".tsv", ".parquet", ".arrow", ".warc", ".wet")
COMPRESSIONS = (".gz", ".zst", ".xz")
HUB = "hf:"
_PACKED = (".parquet", ".arrow")  # compressed inside, never around
_CUTTABLE = (".jsonl", ".json", ".txt", ".parquet")
_EXPANSION = {".gz": 3, ".zst": 3, ".xz": 4, ".parquet": 2}  # bytes of text per byte of file, estimated
_SIDE_FILES = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")  # of HF folders
_LEGAL = (
    "legal endings: .jsonl, .json, .txt, .csv, .tsv, .warc, .wet, each also with .gz, .zst or .xz; "
    ".parquet, .arrow"
)


def find_files(inputs: Iterable[str]) -> list[Path]:
    """Files named by files, folders, glob patterns and hf: names, sorted; a file reached by two names counts once.

    Folders are searched through symbolic links, each real folder once. UserError when an input names nothing, a named
    file has an ending that is not understood, something with such an ending is a link that leads nowhere, a pipe or a
    device, or a folder cannot be read.
    """
    found: set[Path] = set()
    for text in inputs:
        try:
            files = set(_named_by(text))
        except PermissionError as error:
            _unreadable(error)
        if not files:
            raise UserError(f"input {text!r} names no document file (working folder {os.getcwd()}); {_LEGAL}")
        found |= files
    real: dict[str, Path] = {}
    for file in sorted(found, key=str):
        real.setdefault(os.path.realpath(file), file)
    return sorted(real.values(), key=str)


def _named_by(text: str) -> Iterator[Path]:
    path = Path(text)
    if text.startswith(HUB):
        yield from _hub_files(text)
    elif path.is_dir():
        yield from _below(path)
    elif path.is_file():
        if not _is_document_file(path):
            raise UserError(f"{path}: unknown kind of file; {_LEGAL}")
        yield path
    else:
        for name in [text] if path.is_symlink() else glob.glob(text, recursive=True):
            if _is_document_file(Path(name)) and Path(name).is_dir():
                yield from _below(Path(name))
            elif _is_document_file(Path(name)):
                yield _checked(Path(name))


def _below(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=_unreadable, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in names:
            file = Path(place, name)
            if _is_document_file(file) and name not in _SIDE_FILES:
                yield _checked(file)


def _unreadable(error: OSError) -> NoReturn:
    raise UserError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _checked(file: Path) -> Path:
    if file.is_symlink() and not os.path.exists(file):
        raise UserError(f"{file}: a symbolic link that leads nowhere; repair or remove it")
    if not file.is_file():
        raise UserError(
            f"{file}: not a file but a pipe, a socket or a device; remove it, or name the files to read"
        )
    return file


def _hub_files(text: str) -> Iterator[Path]:
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
        yield Path(entry["filename"])


def file_format(path: Path) -> str:
    """Ending that tells the format, without that of a compression."""
    return Path(path.stem).suffix if path.suffix in COMPRESSIONS else path.suffix


def is_compressed(path: Path) -> bool:
    """Whether a compression is around the file."""
    return path.suffix in COMPRESSIONS


def is_whole(path: Path) -> bool:
    """Whether the file has to be read whole: compressed, or without places where it can be cut."""
    return is_compressed(path) or file_format(path) not in _CUTTABLE


def expansion(path: Path) -> int:
    """Bytes of text per byte of the file, estimated."""
    return _EXPANSION.get(path.suffix, 1)


def whole(path: Path) -> Piece:
    """The piece that is a whole file."""
    return Piece(str(path), 0, path.stat().st_size)


def _is_document_file(path: Path) -> bool:
    kind = file_format(path)
    return kind in FORMATS and not path.name.startswith(".") and not (is_compressed(path) and kind in _PACKED)
