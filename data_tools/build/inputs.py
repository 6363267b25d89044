"""What became of a source's inputs: encodings they were read in, files that were not read, lines that were none."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from .. import read
from ..config import CorpusSourceConfig

_NAMED = 5


def details(source: CorpusSourceConfig, cleaned: list[dict[str, Any]]) -> dict[str, Any]:
    """The facts of the step `read` in flow.json; cleaned: the statistics of the source's input shards.

    {"rejected": lines, "converted": {encoding: lines}, "encodings": {encoding: {"files", "lines", "first"}},
    "not_read": {reason: {"files", "first"}}}; first: the names of the first few. A file of which all lines were UTF-8 is
    not among the encodings.
    """
    lines: dict[str, dict[str, int]] = {}
    for entry in cleaned:
        for path, counts in entry["read"]["encodings"].items():
            for encoding, count in counts.items():
                files = lines.setdefault(encoding, {})
                files[path] = files.get(path, 0) + count
    converted: Counter[str] = Counter()
    for entry in cleaned:
        converted.update(entry["read"]["converted"])
    left: dict[str, list[str]] = {}
    for path, reason in _left(source):
        left.setdefault(reason, []).append(path)
    return {
        "rejected": sum(entry["read"]["rejected"] for entry in cleaned),
        "converted": dict(sorted(converted.items())),
        "encodings": {
            encoding: {"files": len(files), "lines": sum(files.values()), "first": sorted(files)[:_NAMED]}
            for encoding, files in sorted(lines.items())
        },
        "not_read": {
            reason: {"files": len(paths), "first": paths[:_NAMED]} for reason, paths in sorted(left.items())
        },
    }


def _left(source: CorpusSourceConfig) -> tuple[read.Left, ...]:
    """Of what lies in folders; a data set of the Hub is not loaded again."""
    inputs = [text for text in source.inputs if not text.startswith(read.HUB)]
    return read.find(inputs).left if inputs else ()


def remarks(details: dict[str, Any]) -> Iterator[str]:
    """What is said of them at the end of a build, a line each."""
    for encoding, found in (details.get("encodings") or {}).items():
        yield f"{found['lines']:,} lines of {found['files']:,} files were read as {encoding}: {_names(found)}"
    for reason, found in (details.get("not_read") or {}).items():
        yield f"{found['files']:,} files were not read, {reason}: {_names(found)}"


def _names(found: dict[str, Any]) -> str:
    return ", ".join(found["first"]) + (", ..." if found["files"] > len(found["first"]) else "")
