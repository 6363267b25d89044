"""The house rules that a reader of the imports can check: directions, what is free of torch, banned calls."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from .sources import FOLDERS, ROOT, SOURCES, name, parse

MAY_IMPORT = {
    "launch": {"pretrain", "parallel", "data_tools", "kernels", "base"},
    "pretrain": {"parallel", "data_tools", "kernels", "base"},
    "parallel": {"kernels", "base"},
    "data_tools": {"kernels", "base"},
    "kernels": {"base"},
    "base": set(),
}
WITHOUT_TORCH = (
    "taixue/base/",
    "data_tools/",
    "pretrain/config/",
    "pretrain/objectives/",
    "pretrain/data/",
    "pretrain/masks/",
    "pretrain/report/",
    "pretrain/observe/names.py",
    "pretrain/observe/evaluations.py",
    "pretrain/run/history.py",
    "parallel/ranks.py",
)


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(module, level) of every import below a node; `from a import b` counts as a and as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module, node.level
            yield from ((f"{module}.{alias.name}".strip("."), node.level) for alias in node.names)


def at_import(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Imports that run when the module is imported: those outside functions and outside TYPE_CHECKING."""
    pending: list[ast.AST] = [tree]
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield from imports(node)
            pending.append(node)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_imports_go_one_way(path: Path) -> None:
    place = path.relative_to(ROOT).parts
    folder = place[1] if place[0] == "taixue" else place[0]
    for module, level in imports(parse(path)):
        top, *rest = module.split(".")
        assert top not in FOLDERS or level, f"import {module}: write taixue.{module}"
        if level == 0 and top == "taixue" and rest and rest[0] in MAY_IMPORT:
            assert rest[0] != folder, f"{module}: inside a folder imports are relative"
            assert rest[0] in MAY_IMPORT[folder], f"{folder} may not import {module}"
        depth = len(path.relative_to(ROOT).parts) - 1
        assert level <= depth, f"{'.' * level}{module} leaves {folder}: write taixue...."


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if name(path).startswith((*WITHOUT_TORCH, "launch/"))], ids=name
)
def test_no_torch_at_import(path: Path) -> None:
    everywhere = name(path).startswith(WITHOUT_TORCH)
    found = imports(parse(path)) if everywhere else at_import(parse(path))
    assert not [module for module, _ in found if module.split(".")[0] in ("torch", "transformers")]


@pytest.mark.parametrize("path", sorted((ROOT / "pretrain/models").rglob("*.py")), ids=name)
def test_models_know_no_ranks(path: Path) -> None:
    for module, level in imports(parse(path)):
        assert not module.startswith("torch.distributed")
        parts = module.split(".")
        allowed = (
            level or parts[0] != "taixue" or len(parts) < 2 or parts[1] in ("base", "kernels", "UserError")
        )
        assert allowed, f"a model imports {module}"


def test_kernels_has_no_init() -> None:
    assert not (ROOT / "kernels/__init__.py").exists(), (
        "a top-level package called kernels breaks transformers"
    )


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_banned_calls(path: Path) -> None:
    tree = parse(path)
    modules = {module.split(".")[0] for module, level in imports(tree) if not level}
    assert not modules & {"pickle", "dill", "cloudpickle", "marshal", "shelve"}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert called not in ("eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"), (
            called
        )
        named = bool(node.args) and not isinstance(node.args[0], ast.Constant)
        named &= not path.is_relative_to(ROOT / "kernels")  # which sees no configuration
        assert not (named and called.rsplit(".")[-1] in ("import_module", "__import__", "run_path")), (
            f"{called}: nothing is imported because a configuration names it"
        )
        assert keywords.get("shell", "False") == "False", "shell=True"
        assert keywords.get("allow_pickle", "False") == "False", "allow_pickle=True"
        assert keywords.get("trust_remote_code", "False") == "False", "trust_remote_code=True"
        assert called != "torch.load" or keywords.get("weights_only") == "True", (
            "torch.load without weights_only"
        )


@pytest.mark.parametrize("path", [*SOURCES, ROOT / "setup.py"], ids=name)
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(parse(path)), "a module starts with a docstring"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, "split the file: one subject each"


def test_imported_distributions_are_declared() -> None:
    """Whatever the code imports is a dependency, or an extra's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    lines = [line for group in groups for line in group]
    declared = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in lines}
    declared |= {"yaml", "megatron", "datasets", "taixue", "triton", "apex"}  # other names, and probed ones
    declared |= {"data_juicer", "datatrove", "trafilatura"}  # benches measure them where they are
    found = {module.split(".")[0] for path in SOURCES for module, level in imports(parse(path)) if not level}
    assert found - set(sys.stdlib_module_names) - {*declared, "pydantic_core"} == set()


def test_nothing_is_imported_twice() -> None:
    """`import pretrain` beside `import taixue.pretrain` would make two copies of every class."""
    assert not set(FOLDERS) & {module for module in sys.modules if module != "kernels"}
