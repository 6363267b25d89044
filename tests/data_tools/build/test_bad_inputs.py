"""The real command on files as they should not be: each is named with its place, and the build stops or goes on."""

import os
import shutil
from pathlib import Path

import pytest

from ..bad_inputs import CASES, GOOD, build

# case -> (what a build with damaged: stop says, "" when it goes on; of one with damaged: skip, how many documents are
# kept beside the good ones, None when it stops too; and the first (file, line) in quarantine)
EXPECTED: dict[str, tuple[str, int | None, list[tuple[str, int]]]] = {
    "truncated gz": ("b.jsonl.gz: the file is truncated or damaged", 883, [("b.jsonl.gz", 0)]),
    "a line of 100 MB": ("", 0, [("long.jsonl", 21)]),
    "empty files": ("", 0, [(f"{name}", 0) for name in ("a.txt", "b.jsonl", "c.csv", "d.parquet", "e.warc")]),
    "unreadable file": ("b-locked.jsonl: cannot be read: Permission denied", 0, [("b-locked.jsonl", 0)]),
    "unreadable folder": ("locked: cannot be read: Permission denied", None, []),
    "csv without the text field": ("b.csv: no field 'text'; its fields: 'id', 'content'", 0, [("b.csv", 0)]),
    "symlink loop": ("", 0, []),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_bad_inputs(name: str, tmp_path: Path, t5_folder: Path) -> None:
    if name.startswith("unreadable") and os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root reads every file, and there is no setpriv to give that power up")
    (case,) = (case for case in CASES if case.name == name)
    said, more, places = EXPECTED[name]
    if said:
        stopped = build(case, tmp_path / "stop", t5_folder, "stop")
        assert (stopped.status, stopped.documents) == (2, 0)
        assert said in stopped.said
    if more is None:
        return
    went_on = build(case, tmp_path / "skip", t5_folder, "skip", long=40)
    assert (went_on.status, went_on.documents) == (0, len(GOOD) + more), went_on
    found = [(Path(str(line["file"])).name, line["line"]) for line in went_on.quarantine]
    assert found[: len(places)] == places
    assert all(line["reason"] for line in went_on.quarantine)
