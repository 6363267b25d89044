"""The `taixue` command: help and mistakes answer without torch, in a few lines, with the right exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from taixue import __version__
from taixue.launch.cli import COMMANDS, main

CONFIGURED = ("train", "tokenizer train", "corpus build", "verify", "data preview")
WATCH = """
import sys
from taixue.launch.cli import main
try:
    status = main()
except SystemExit as end:
    status = end.code
loaded = sorted({"torch", "transformers", "pandas"} & set(sys.modules))
print(f"status={status} loaded={loaded}", file=sys.stderr)
"""


def run(*words: str, cwd: Path | None = None) -> tuple[str, str]:
    """(stdout, stderr) of a fresh process; the last line of stderr tells status and heavy imports."""
    environment = os.environ | {"COLUMNS": "120", "NO_COLOR": "1"}
    command = [sys.executable, "-c", WATCH, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=environment)
    return done.stdout, done.stderr


def test_overview_lists_every_command() -> None:
    out, err = run("--help")
    assert "status=0 loaded=[]" in err
    for name, command in COMMANDS.items():
        line = next(line for line in out.splitlines() if line.strip().startswith(name))
        assert command.summary in line


@pytest.mark.parametrize("command", CONFIGURED)
def test_help_needs_no_torch(command: str) -> None:
    out, err = run(*command.split(), "--help")
    assert "status=0 loaded=[]" in err, err
    assert "--seed INT" in out


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("tokenizer extend", "--words FILE"),
        ("tokenizer trim", "--inputs PATH"),
        ("corpus report", "--out DIR"),
        ("bench corpus", "--megabytes N"),
    ],
)
def test_help_of_commands_without_config(command: str, option: str) -> None:
    out, err = run(*command.split(), "--help")
    assert "status=0 loaded=[]" in err, err
    assert f"usage: taixue {command}" in out
    assert option in out


def test_help_of_a_config_shows_its_values() -> None:
    out, err = run("train", "run/t5-tiny-demo", "--parallel.dp_shard", "7", "--help")
    assert "status=0 loaded=[]" in err
    assert "--parallel.dp_shard INT" in out
    assert "(default: 7)" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"taixue {__version__}"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trian"], "did you mean train?"),
        (["corpus"], "followed by build or report"),
        (["corpus", "report", "nowhere"], "nowhere"),
        (
            ["tokenizer", "extend", "nowhere", "out", "--words", "nowhere.txt"],
            "word list nowhere.txt: cannot be read",
        ),
        (["tokenizer", "trim", "nowhere", "out", "--inputs", "nowhere.txt"], "nowhere"),
        (["bench", "corpus", "--megabytes", "0"], "megabytes: 0"),
        (["train"], "needs a CONFIG"),
        (["train", "nowhere.yaml"], "no file and no preset called 'nowhere.yaml'"),
        (
            ["train", "run/t5-tiny-demo", "--paralel.tp", "2"],
            "command line: paralel: unknown key; did you mean parallel?",
        ),
        (["train", "run/t5-tiny-demo", "--steps", "many"], "command line: steps: should be a valid integer"),
        (["train", "run/t5-tiny-demo", "--steps"], "--steps needs a value"),
        (["train", "run/t5-tiny-demo", "steps"], "expected --section.key VALUE"),
        (["train", "model/t5-tiny"], "data.tokenizer: names no folder"),
        (
            ["corpus", "build", "corpus/demo", "--workers", "-1"],
            "workers: should be greater than or equal to 0",
        ),
        (["tokenizer", "train", "corpus/demo-tokenizer", "--kind", "gpt"], "kind: should be 't5' or 'bert'"),
        (["verify", "run/t5-tiny-demo", "--sed", "1"], "did you mean seed?"),
    ],
)
def test_mistakes_are_one_short_message(words: list[str], says: str, tmp_path: Path) -> None:
    out, err = run(*words, cwd=tmp_path)
    *message, last = err.splitlines()
    assert last == "status=2 loaded=[]"
    assert says in "\n".join(message)
    assert "Traceback" not in err
    assert len(message) <= 3
    assert not out


def test_all_mistakes_of_a_file_at_once(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "base: model/t5-tiny\nstep: 5\nmodel: {num_heads: many}\ncompute: {precision: fp64}\n"
    )
    _, err = run("train", "run.yaml", cwd=tmp_path)
    assert "run.yaml: step: unknown key; did you mean steps?" in err
    assert "run.yaml: model.num_heads: should be a valid integer" in err
    assert "run.yaml: compute.precision: should be 'fp32', 'bf16' or 'fp16'; was given 'fp64'" in err


def test_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("taixue.launch.doctor.report", interrupted)
    assert main(["doctor"]) == 130
    assert "interrupted" in capsys.readouterr().err
