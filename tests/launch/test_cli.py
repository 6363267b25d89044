"""The `taixue` command: help and mistakes answer without torch, in a few lines, with the right exit status."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import BaseModel

from taixue import __version__
from taixue.base.keys import sections
from taixue.data_tools.config import CorpusBuildConfig
from taixue.launch.cli import COMMANDS, main

CONFIGURED = ("train", "tokenizer train", "corpus build", "verify", "data preview")
OPTIONS = {
    **dict.fromkeys(CONFIGURED, "--seed INT"),
    "tokenizer extend": "--words FILE",
    "tokenizer trim": "--inputs PATH",
    "corpus report": "--out DIR",
    "bench corpus": "--megabytes N",
}
MISTAKES = {
    "trian": "did you mean train?",
    "corpus": "followed by build or sample or report",
    "corpus report nowhere": "nowhere",
    "tokenizer extend nowhere out --words nowhere.txt": "word list nowhere.txt: cannot be read",
    "tokenizer trim nowhere out --inputs nowhere.txt": "nowhere",
    "bench corpus --megabytes 0": "megabytes: 0",
    "train": "needs a CONFIG",
    "train nowhere.yaml": "no file and no preset called 'nowhere.yaml'",
    "train run/t5-tiny-demo --paralel.tp 2": "command line: paralel: unknown key; did you mean parallel?",
    "train run/t5-tiny-demo --steps many": "command line: steps: should be a valid integer",
    "train run/t5-tiny-demo --steps": "--steps needs a value",
    "train run/t5-tiny-demo steps": "expected --section.key VALUE",
    "train model/t5-tiny": "data.tokenizer: names no folder",
    "corpus build corpus/demo --workers -1": "workers: should be greater than or equal to 0",
    "tokenizer train corpus/demo-tokenizer --kind gpt": "kind: should be 't5' or 'bert'",
    "verify run/t5-tiny-demo --sed 1": "did you mean seed?",
}
# Runs one command after another, so that all share one start of Python.
WATCH = """
import contextlib, io, json, sys
from taixue.launch.cli import main
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(words)
        except SystemExit as end:
            status = end.code
    loaded = sorted({"torch", "transformers", "pandas"} & set(sys.modules))
    print(json.dumps([out.getvalue(), err.getvalue(), status, loaded]))
"""


class Answer(NamedTuple):
    out: str
    err: str
    status: int
    loaded: list[str]


def run(*commands: str, cwd: Path | None = None) -> list[Answer]:
    """What a fresh process answers to each command."""
    environment = os.environ | {"COLUMNS": "120", "NO_COLOR": "1"}
    command = [sys.executable, "-c", WATCH, json.dumps([words.split() for words in commands])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    return [Answer(*json.loads(line)) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """To every command with --help and to every mistake, in an empty folder."""
    asked = [*(f"{command} --help" for command in OPTIONS), *MISTAKES]
    return dict(zip(asked, run(*asked, cwd=tmp_path_factory.mktemp("empty")), strict=True))


def test_overview_lists_every_command() -> None:
    (answer,) = run("--help")
    assert (answer.status, answer.loaded) == (0, [])
    for name, command in COMMANDS.items():
        line = next(line for line in answer.out.splitlines() if line.strip().startswith(name))
        assert command.summary in line


@pytest.mark.parametrize("command", OPTIONS)
def test_help_needs_no_torch(command: str, answers: dict[str, Answer]) -> None:
    answer = answers[f"{command} --help"]
    assert (answer.status, answer.loaded) == (0, []), answer
    assert OPTIONS[command] in answer.out
    assert command in CONFIGURED or f"usage: taixue {command}" in answer.out


def test_help_of_a_config_shows_its_values() -> None:
    (answer,) = run("train run/t5-tiny-demo --parallel.dp_shard 7 --help")
    assert (answer.status, answer.loaded) == (0, [])
    assert "--parallel.dp_shard INT" in answer.out
    assert "(default: 7)" in answer.out


def test_help_shows_every_key_of_every_section(answers: dict[str, Answer]) -> None:
    """Sections that are left out as well; it says that they are."""
    out = answers["corpus build --help"].out

    def keys(section: type[BaseModel], above: str) -> Iterator[str]:
        for key, info in section.model_fields.items():
            inside = list(sections(info.annotation))
            many = "tuple" in str(info.annotation) and inside
            yield from (name for one in inside for name in keys(one, f"{above}{key}.{'0.' if many else ''}"))
            if not inside:
                yield f"{above}{key}"

    wanted = [*keys(CorpusBuildConfig, "--")]
    assert {"--decontaminate.ngram", "--annotate.external.inputs", "--filters.rules.0.words"} <= {*wanted}
    assert [name for name in wanted if f"{name} " not in out] == []
    assert re.search(r"Off until a key of theirs is set .*: .*\bdecontaminate, annotate\.external\b", out)
    assert "--on {local,ray}" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"taixue {__version__}"


@pytest.mark.parametrize("command", MISTAKES)
def test_mistakes_are_one_short_message(command: str, answers: dict[str, Answer]) -> None:
    answer = answers[command]
    assert (answer.status, answer.loaded) == (2, [])
    assert MISTAKES[command] in answer.err
    assert "Traceback" not in answer.err
    assert len(answer.err.splitlines()) <= 3
    assert not answer.out


def test_all_mistakes_of_a_file_at_once(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "base: model/t5-tiny\nstep: 5\nmodel: {num_heads: many}\ncompute: {precision: fp64}\n"
    )
    (answer,) = run("train run.yaml", cwd=tmp_path)
    assert "run.yaml: step: unknown key; did you mean steps?" in answer.err
    assert "run.yaml: model.num_heads: should be a valid integer" in answer.err
    assert "run.yaml: compute.precision: should be 'fp32', 'bf16' or 'fp16'; was given 'fp64'" in answer.err


def test_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("taixue.launch.doctor.report", interrupted)
    assert main(["doctor"]) == 130
    assert "interrupted" in capsys.readouterr().err
