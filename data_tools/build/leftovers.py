"""What earlier builds left in the folder, and is no part of the corpus now: removed, so that what was taken out of the
inputs is taken out of the folder.

A file is only removed when a build made it: a shard whose manifest says so, that an earlier corpus.json lists, or that
stands in work/build.json; in the folders of a build, what is named for a shard. All else is the user's and stays, but
nothing of the user's may be called like a shard: whoever reads shards by their names would take it for one.
"""

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from taixue.base import UserError, files

from .. import read
from ..config import CorpusBuildConfig
from ..passes import record
from ..passes.cut import STATISTICS_FOLDER, WORK_FOLDER
from ..passes.decontaminate import CONTAMINATED_FOLDER
from ..shards import manifest
from . import outline
from .outline import Outline

_SHARD = re.compile(r"(?P<name>(?:train|validation)-(?P<base>.+-\d{5,}))\.(?P<kind>bin|idx|ann|json)")
_COUNTED = re.compile(r"(?P<base>.+-\d{5,})(?:\.[a-z]+)?\.jsonl?")
_TEMPORARY = re.compile(r"\.(?:(?:train|validation)-)?(?P<base>.+?-\d{5,})\..*-\d+\.tmp")
_FOLDERS = ("quarantine", STATISTICS_FOLDER, CONTAMINATED_FOLDER)
_REPORT = ("report.html", "report.json")


def claim(folder: Path, plan: Outline) -> None:
    """Say in work/build.json what is going to be made here.

    UserError when a file is called like a shard and no build made it.
    """
    earlier = _known(folder)
    for path in sorted(folder.iterdir()):
        found = _SHARD.fullmatch(path.name)
        if found and found["base"] not in earlier:
            raise UserError(
                f"{path}: called like a shard, but no build in this folder made it, so that it is neither "
                "overwritten nor removed; move it away, or choose another output"
            )
    outline.write(folder, plan.model_copy(update={"earlier": tuple(sorted(earlier - plan.bases))}))


def check_place(folder: Path, config: CorpusBuildConfig) -> None:
    """UserError when the folder lies in a folder that a source reads: the next build would read this one's lists."""
    place = folder.resolve()
    for source in config.sources:
        for text in source.inputs:
            if (
                not read.is_remote(text)
                and Path(text).is_dir()
                and place.is_relative_to(Path(text).resolve())
            ):
                raise UserError(
                    f"output {str(folder)!r} lies in the input {text!r} of source {source.name!r}, which would be read "
                    "with it: choose another output, or name files (*.jsonl)"
                )


def check_libraries(folder: Path, plan: Outline) -> None:
    """UserError when the unfinished build of this folder was begun with another version of a library."""
    before = outline.read(folder)
    had, have = (
        dict(one.rsplit(" ", 1) for one in (libraries or ()))
        for libraries in (before and before.libraries, plan.libraries)
    )
    for name in sorted(had.keys() & have.keys()):
        if had[name] != have[name]:
            raise UserError(
                f"{folder}: the build here was begun with {name} {had[name]}, and now it is {name} {have[name]}, "
                f"which may give other text or tokens: install {name}=={had[name]} to go on, or remove "
                f"{folder / WORK_FOLDER} to make everything with the new one"
            )


def remove(folder: Path, config: CorpusBuildConfig, plan: Outline, listing: manifest.CorpusManifest) -> None:
    """All that is a build's and no part of this corpus, work/ too. Every shard of the plan is finished."""
    known = _known(folder) | plan.bases
    listed = {
        f"{shard.name}{suffix}"
        for shard in listing.shards
        for suffix, digest in (
            (".bin", shard.bin_sha256),
            (".idx", shard.idx_sha256),
            (".ann", shard.ann_sha256),
        )
        if digest
    }
    shards = [found for path in folder.iterdir() if (found := _SHARD.fullmatch(path.name))]
    # Manifests last: after a kill they still say whose the others are.
    for found in sorted(shards, key=lambda one: one["kind"] == "json"):
        is_part = found["base"] in plan.bases if found["kind"] == "json" else found[0] in listed
        if found["base"] in known and not is_part:
            (folder / found[0]).unlink(missing_ok=True)
    for path in (*_strays(folder, known, plan.bases), *_unwanted(folder, config, plan)):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        (folder / CONTAMINATED_FOLDER).rmdir()  # when nothing is in it
    _remove_work(folder)


def remove_report(folder: Path) -> None:
    """The report of an earlier corpus shows examples of its texts."""
    if record.read(folder / "report.json").get("format") == "taixue-report":
        for name in _REPORT:
            (folder / name).unlink(missing_ok=True)
            files.remove_temporaries(folder / name)


def _known(folder: Path) -> set[str]:
    """Bases of the shards that builds in this folder have made or begun."""
    known: set[str] = set()
    before = outline.read(folder)
    if before is not None:
        known |= before.bases | {*before.earlier}
    if (folder / manifest.CORPUS_FILE).is_file():
        known |= {_base(shard.name) for shard in _listed(folder)}
    for path in folder.glob("*.json"):
        found = _SHARD.fullmatch(path.name)
        if found and found["base"] not in known and _is_manifest(path):
            known.add(found["base"])
    return known


def _listed(folder: Path) -> Iterable[manifest.ShardEntry]:
    try:
        return manifest.read_corpus(folder).shards
    except UserError:  # damaged: the manifests tell
        return ()


def _base(name: str) -> str:
    return name.partition("-")[2]


def _is_manifest(path: Path) -> bool:
    found = record.read(path)
    return found.get("format") == "taixue-shard" and found.get("name") == path.stem


def _strays(folder: Path, known: set[str], bases: set[str]) -> Iterator[Path]:
    """Counts and lists of shards that are no more, and what killed writers of shards left."""
    for path in folder.iterdir():
        found = _TEMPORARY.fullmatch(path.name)
        if found and found["base"] in known:
            yield path
    for place in _FOLDERS:
        for path in (folder / place).iterdir() if (folder / place).is_dir() else ():
            found = _COUNTED.fullmatch(path.name)
            if (found and found["base"] not in bases) or _TEMPORARY.fullmatch(path.name):
                yield path


def _unwanted(folder: Path, config: CorpusBuildConfig, plan: Outline) -> Iterator[Path]:
    """Counts and lists of steps that this configuration does not have."""
    if config.deduplicate is None:
        yield folder / STATISTICS_FOLDER / "resolve.json"
    for base in plan.bases:
        if config.annotate is None:
            yield folder / STATISTICS_FOLDER / f"{base}.annotate.json"
        if config.decontaminate is None:
            yield folder / CONTAMINATED_FOLDER / f"{base}.jsonl"


def _remove_work(folder: Path) -> None:
    """Under another name first: other ranks may still give signs of life, and a new build may begin."""
    work = folder / WORK_FOLDER
    temporary = files.temporary_name(work)
    shutil.rmtree(temporary, ignore_errors=True)
    with suppress(FileNotFoundError):  # another rank was here first
        work.rename(temporary)
    for left in folder.glob(f".{WORK_FOLDER}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
