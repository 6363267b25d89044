"""The commands that the READMEs show exist and fit the presets; both languages show the same."""

import re
import shlex
from pathlib import Path

import pytest
from pydantic import BaseModel

from taixue.base.load import load
from taixue.data_tools.config import CorpusBuildConfig, TokenizerTrainConfig
from taixue.launch.cli import COMMANDS
from taixue.pretrain.config.schema import RunConfig

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh.md")
SCHEMA: dict[str, type[BaseModel]] = {
    "tokenizer train": TokenizerTrainConfig,
    "corpus build": CorpusBuildConfig,
    "data preview": RunConfig,
    "masks": RunConfig,
    "train": RunConfig,
    "verify": RunConfig,
}
OWN_OPTIONS = ("--samples", "--layouts", "--kernels")


def blocks(readme: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / readme).read_text(encoding="utf-8"), re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("README.md", "bash")).splitlines()
    return [line for line in lines if line.strip()]


def test_both_languages_show_the_same() -> None:
    for language in ("bash", "yaml", "text"):
        assert blocks(READMES[0], language) == blocks(READMES[1], language)
    headings = [
        len(re.findall("^## ", (ROOT / readme).read_text(encoding="utf-8"), re.MULTILINE))
        for readme in READMES
    ]
    assert headings[0] == headings[1]


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("taixue")])
def test_taixue_commands(command: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    name = next(name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS)
    if name in SCHEMA:
        config, *overrides = words[len(name.split()) :]
        own = next((index for index, word in enumerate(overrides) if word in OWN_OPTIONS), len(overrides))
        load(SCHEMA[name], config, overrides[:own])


@pytest.mark.parametrize("command", [line for line in commands() if not line.startswith("taixue")])
def test_other_commands(command: str) -> None:
    words = [word for word in shlex.split(command, comments=True) if "=" not in word]
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    script = next(word for word in words if word.startswith("launch/"))
    assert (ROOT / script).is_file()
    load(RunConfig, words[-1])


def test_yaml_examples_are_legal(tmp_path: Path) -> None:
    (tmp_path / "imported").mkdir()
    (tmp_path / "imported/model.yaml").write_text("model: {family: t5}\n")
    for number, text in enumerate(blocks("README.md", "yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        load(RunConfig, path)


def test_links_lead_somewhere() -> None:
    for readme in (*READMES, "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / readme).read_text(encoding="utf-8")):
            assert (ROOT / target).exists(), f"{readme}: {target}"
