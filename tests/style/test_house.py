"""What a look over the whole house checks: no circles, one meaning a file name, short files, whole paragraphs.

KNOWN_* are violations that are being worked on; whoever mends one takes it out.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from .sources import PLACES, ROOT, SOURCES, circles, file_arrows, folder_arrows, name, parse

KNOWN_FILE_CIRCLES: set[frozenset[str]] = {
    frozenset(
        {
            *("pretrain/export/__init__.py", "pretrain/export/card.py", "pretrain/export/publish.py"),
            *("pretrain/run/evaluation.py", "pretrain/run/state.py"),
        }
    )
}
KNOWN_FOLDER_CIRCLES: set[frozenset[str]] = {
    frozenset({f"pretrain/models{family}" for family in ("", "/bert", "/mt5", "/t5", "/umt5")}),
    frozenset({"pretrain/export", "pretrain/run"}),
}
KNOWN_ORPHANS = {
    "parallel/stop.py",
    "pretrain/checkpoint/storage.py",
    "pretrain/export/config.py",
    "pretrain/objectives/__init__.py",
    "pretrain/objectives/base.py",
    "pretrain/objectives/span.py",
    "pretrain/objectives/spans.py",
    "pretrain/optim/adafactor.py",
    "pretrain/optim/adamw.py",
    "pretrain/run/evaluation.py",
    "pretrain/run/loop.py",
    "pretrain/run/state.py",
    "pretrain/train.py",
}
# File names that mean the same in every room: base.py is what all of a room's kind offer.
ALLOWED_TWINS = {
    *("__init__.py", "__main__.py", "base.py", "config.py"),
    *("reference.py", "triton.py", "cases.py"),  # of each kernel
    *("model.py", "costs.py", "init.py", "hf.py", "sharding.py"),  # of each family
}
NATIVE = sorted(
    path for place in PLACES for path in (ROOT / place).rglob("*.*") if path.suffix in (".cc", ".h", ".cu")
)
WIDTH = 120


def test_no_circles_between_files() -> None:
    assert circles(file_arrows()) == KNOWN_FILE_CIRCLES


def test_no_circles_between_folders() -> None:
    assert circles(folder_arrows()) == KNOWN_FOLDER_CIRCLES


def test_a_circle_is_found() -> None:
    one, two, three = (ROOT / letter for letter in "abc")
    assert circles({one: {two}, two: {one}, three: {one}}) == {frozenset("ab")}
    assert circles({one: {two}, two: set(), three: {one}}) == set()


def test_one_meaning_a_file_name() -> None:
    """Not counted: groups of commands are called like what they command, twins like what they specify."""
    places = defaultdict(list)
    for path in SOURCES:
        is_twin = path.parent.name == "plain" and (path.parents[1] / path.name).exists()
        if path.name not in ALLOWED_TWINS and not name(path).startswith("launch/commands/") and not is_twin:
            places[path.name].append(name(path))
    assert {key: found for key, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("path", NATIVE, ids=name)
def test_native_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, "split the file: one subject each"


def orphans(path: Path) -> Iterator[str]:
    """Lines of docstrings with one or two words, the first of which had room on the line before, mid-sentence."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in ast.walk(parse(path)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if ast.get_docstring(node, clean=False) is None:
            continue
        text = node.body[0]
        for number in range(text.lineno, text.end_lineno or text.lineno):
            before, line = lines[number - 1].rstrip(), lines[number].strip().removesuffix('"""')
            words = line.split()
            is_prose = before.strip() not in ("", '"""') and "  " not in before.strip() + line
            if not is_prose or not 0 < len(words) <= 2 or before[-1] in ".:;!?":
                continue
            if len(before) + 1 + len(words[0]) <= WIDTH:
                yield f"{name(path)}:{number + 1}: {line.strip()}"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_orphaned_words(path: Path) -> None:
    assert bool(found := [*orphans(path)]) == (name(path) in KNOWN_ORPHANS), found
