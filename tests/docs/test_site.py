"""The configuration reference follows the schemas; what a page loads from elsewhere is noticed."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

import pytest
from pydantic import Field

from taixue.base.keys import all_paths
from taixue.base.section import Section

ROOT = Path(__file__).parents[2]


def hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / f"docs/hooks/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def configuration() -> ModuleType:
    return hook("configuration")


def anchors(page: str) -> list[str]:
    return re.findall(r"\{ #([^ }]+)", page)


def test_every_key_has_one_place(configuration: ModuleType) -> None:
    page = configuration.page()
    found = anchors(page)
    assert len(found) == len(set(found))
    for _, root in configuration.ROOTS.values():
        for path in all_paths(root):
            assert f"\n`{path[-1]}`{{" in page, path
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= set(found)


class Wave(Section):
    """Of the cosine."""

    length: float = 1.0


class Stairs(Section):
    """Of the steps."""

    length: Annotated[int, Field(ge=2)] = 2


class Cosine(Section):
    """Half a wave."""

    name: Literal["cosine"] = "cosine"
    shape: Wave = Wave()
    floor: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="the <last> value, of lr_max")


class Steps(Section):
    """Down by steps."""

    name: Literal["steps"] = "steps"
    at: tuple[int, ...] = (10, 20)
    shape: Stairs = Stairs()


class Invented(Section):
    """A root with a choice."""

    schedule: Annotated[Cosine | Steps, Field(discriminator="name")] = Cosine()
    limit: int | None = None
    needed: dict[Literal["a", "b"], str]


def test_what_it_says(configuration: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "ROOTS", {"invented": ("Invented", Invented)})
    page = configuration.page()
    for line in (
        "section [cosine](#invented.schedule.cosine) or section [steps](#invented.schedule.steps); default `cosine`",
        "### schedule, name: steps { #invented.schedule.steps }\n\nDown by steps.",
        "`floor`{ #invented.schedule.cosine.floor .key } number ≥ 0, < 1; default `0.1`\n"
        ":   the &lt;last> value, of lr\\_max",
        "`at`{ #invented.schedule.steps.at .key } list of integer; default `[10, 20]`\n:   —",
        "### schedule.shape { #invented.schedule.shape }\n\nOf the cosine.\n\nOf `cosine`.",
        "### schedule.shape { #invented.schedule.steps.shape }\n\nOf the steps.\n\nOf `steps`.",
        "`length`{ #invented.schedule.steps.shape.length .key } integer ≥ 2; default `2`",
        "`name`{ #invented.schedule.steps.name .key } `steps`\n:   names the kind of this section",
        "`limit`{ #invented.limit .key } integer or null; default `null`",
        "`needed`{ #invented.needed .key } mapping from `a` or `b` to text; **required**",
    ):
        assert line in page
    assert len(anchors(page)) == len(set(anchors(page)))
    assert configuration.without_meaning() == [
        "Invented.limit",
        "Invented.needed",
        "Wave.length",
        "Steps.at",
        "Stairs.length",
    ]


def test_foreign_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '<a href="https://example.org">a link loads nothing</a><script src="site.js"></script>'
        '<link rel="stylesheet" href="https://fonts.example/css"><img alt="x" src="//pictures.example/1.png">'
    )
    (tmp_path / "site.css").write_text(
        "@font-face { src: url(https://fonts.example/f.woff2), url(own.woff2) }"
    )
    assert hook("own_files").foreign_files(tmp_path) == [
        "page.html: https://fonts.example/css",
        "page.html: //pictures.example/1.png",
        "site.css: https://fonts.example/f.woff2",
    ]


def test_every_key_has_a_meaning(configuration: ModuleType) -> None:
    assert configuration.without_meaning() == []
