"""What a build is going to make: work/build.json, written before anything else.

By it a report knows how far an unfinished build is, and a later build which files an earlier one has left, whose
manifests a kill came before.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from taixue.base import files

from ..config import CorpusBuildConfig, CorpusSourceConfig
from ..passes.cut import WORK_FOLDER, InputShard, digest

RECORD_FILE = "build.json"
# What documents go through, in this order; not every source through all.
STEPS = (
    "read",
    "filter",
    "decontaminate",
    "exact duplicates",
    "near duplicates",
    "repeated paragraphs",
    "filtered again",
    "tokenize",
)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ShardOutline(_Record):
    """An input shard, `base` without the split of its name; cleaned and stamp as in passes.cut.InputShard."""

    base: str
    cleaned: str
    stamp: str


class SourceOutline(_Record):
    """One source. steps: which of STEPS its documents go through."""

    name: str
    inputs: tuple[str, ...]
    steps: tuple[str, ...]
    shards: tuple[ShardOutline, ...]


class Outline(_Record):
    """The whole build. libraries: what makes its texts and tokens, "name version". earlier: bases of shards of earlier
    builds in this folder."""

    format: Literal["taixue-build"] = "taixue-build"
    version: Literal[1] = 1
    sources: tuple[SourceOutline, ...]
    libraries: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()

    @property
    def bases(self) -> set[str]:
        return {shard.base for source in self.sources for shard in source.shards}

    @property
    def identity(self) -> str:
        """Equal for builds that make the same files."""
        return digest([shard.stamp for source in self.sources for shard in source.shards])


def outline(shards: tuple[InputShard, ...], libraries: tuple[str, ...] = ()) -> Outline:
    """What a build of these shards makes."""
    return Outline(
        libraries=libraries,
        sources=tuple(
            SourceOutline(
                name=name,
                inputs=own[0].source.inputs,
                steps=tuple(_steps(own[0].config, own[0].source)),
                shards=tuple(
                    ShardOutline(base=shard.base, cleaned=shard.cleaned, stamp=shard.stamp) for shard in own
                ),
            )
            for name in dict.fromkeys(shard.source.name for shard in shards)
            for own in [[shard for shard in shards if shard.source.name == name]]
        ),
    )


def _steps(config: CorpusBuildConfig, source: CorpusSourceConfig) -> Iterator[str]:
    yield "read"
    if config.normalize or config.filters:
        yield "filter"
    if config.decontaminate is not None:
        yield "decontaminate"
    if config.deduplicate is not None:
        copies = config.copies(source)
        if {"documents", "near"} & copies:
            yield "exact duplicates"
        if "near" in copies:
            yield "near duplicates"
        if "paragraphs" in copies:
            yield "repeated paragraphs"
            if config.filters or config.decontaminate is not None:
                yield "filtered again"
    yield "tokenize"


def write(folder: Path, record: Outline) -> None:
    """Into the work folder; ranks of one build write the same."""
    path = folder / WORK_FOLDER / RECORD_FILE
    if read(folder) != record:
        files.write(path, files.readable_json(record.model_dump()))


def read(folder: Path) -> Outline | None:
    """That of the build that is, or was, at work in this folder; None when there is none, or none that can be read."""
    try:
        return Outline.model_validate_json((folder / WORK_FOLDER / RECORD_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
