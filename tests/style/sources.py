"""The files of the house, and who imports whom."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("launch", "pretrain", "parallel", "data_tools", "kernels")
PLACES = (*FOLDERS, "taixue/base")
SOURCES = sorted(path for place in PLACES for path in (ROOT / place).rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_of(path: Path) -> str:
    """taixue.a.b of a/b.py; a package by its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "taixue" else ("taixue", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def file_arrows() -> dict[Path, set[Path]]:
    """Which files each file imports, in functions too; not what is under TYPE_CHECKING."""
    files = {module_of(path): path for path in SOURCES}
    arrows = {}
    for path in SOURCES:
        package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
        found = {files[module] for module in _imported(parse(path), package, files) if module in files}
        arrows[path] = found - {path}
    return arrows


def folder_arrows() -> dict[Path, set[Path]]:
    """The same between folders, for pairs of which neither lies in the other: a folder's own files list what its rooms
    hold (commands, families), and the rooms stand on what they share."""
    arrows: dict[Path, set[Path]] = {path.parent: set() for path in SOURCES}
    for path, imported in file_arrows().items():
        here = path.parent
        arrows[here] |= {
            there
            for there in {other.parent for other in imported} - {here}
            if there not in here.parents and here not in there.parents
        }
    return arrows


def _imported(node: ast.AST, package: str, files: Mapping[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        module = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            if alias.name != "_native":  # compiled: a file of its own that imports nothing
                yield f"{module}.{alias.name}" if f"{module}.{alias.name}" in files else module
    for child in ast.iter_child_nodes(node):
        yield from _imported(child, package, files)


def circles(arrows: Mapping[Path, set[Path]]) -> set[frozenset[str]]:
    """Names of what can reach itself, those that reach each other together."""
    reached = {start: _reach(start, arrows) for start in arrows}
    return {
        frozenset(name(other) for other in reached[start] if start in reached[other])
        for start in arrows
        if start in reached[start]
    }


def _reach(start: Path, arrows: Mapping[Path, set[Path]]) -> set[Path]:
    found: set[Path] = set()
    pending = [*arrows[start]]
    while pending:
        step = pending.pop()
        if step not in found:
            found.add(step)
            pending += arrows[step]
    return found
