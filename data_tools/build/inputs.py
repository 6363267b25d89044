"""What became of a source's inputs: encodings they were read in, files that were not read, lines that were none."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from taixue.base.charts import counted

from .. import read

_NAMED = 5


def details(inputs: Sequence[str], cleaned: list[dict[str, Any]]) -> dict[str, Any]:
    """The facts of the step `read` in flow.json, of a source's inputs and the statistics of its input shards.

    {"rejected": lines, "converted": {encoding: lines}, "encodings": {encoding: {"files", "lines", "first"}},
    "not_read": {reason: {"files", "first"}}}; first: the names of the first few. A file of which all lines were UTF-8
    is not among the encodings.
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
    for path, reason in _left(inputs):
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


def _left(given: Sequence[str]) -> tuple[read.Left, ...]:
    """Of what lies in folders; a data set of the Hub is not loaded again."""
    inputs = [text for text in given if not text.startswith(read.HUB)]
    return read.find(inputs).left if inputs else ()


def remarks(details: dict[str, Any]) -> Iterator[str]:
    """What is said of them at the end of a build, a line each."""
    for encoding, found in (details.get("encodings") or {}).items():
        yield f"{encoded(encoding, found)}: {_names(found)}"
    for reason, found in (details.get("not_read") or {}).items():
        yield f"{counted(found['files'], 'file was', 'files were')} not read, {reason}: {_names(found)}"


def encoded(encoding: str, found: dict[str, Any]) -> str:
    """What was read of how many files in an encoding, or what its name says was done."""
    files = counted(found["files"], "file")
    if " " in encoding:  # no encoding: "bytes replaced by U+FFFD"
        return f"{found['lines']:,} {encoding} in {files}"
    return f"{counted(found['lines'], 'line')} of {files} read as {encoding}"


def _names(found: dict[str, Any]) -> str:
    return ", ".join(found["first"]) + (", ..." if found["files"] > len(found["first"]) else "")
