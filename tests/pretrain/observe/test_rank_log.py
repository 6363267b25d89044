"""Each rank's own log: what it said, when, and how it ended."""

import logging
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from taixue import UserError
from taixue.pretrain.observe.rank_log import log_path, rank_log

LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "


def test_starts_add_their_messages_and_their_end(tmp_path: Path) -> None:
    log = logging.getLogger("taixue")
    log.setLevel(logging.INFO)
    for _ in range(2):
        with rank_log(tmp_path, 3, 4, "cpu"):
            log.info("all is well")
            logging.getLogger("library").warning("two\nlines")
    log.info("not in it")
    lines = (tmp_path / "logs" / "rank-3.log").read_text().splitlines()
    assert len(lines) == 10
    assert re.fullmatch(LINE + r"INFO start: rank 3 of 4 on \S+, process \d+, cpu", lines[0])
    assert re.fullmatch(LINE + "INFO all is well", lines[1])
    assert re.fullmatch(LINE + "WARNING two", lines[2])
    assert lines[3] == "    lines"
    assert re.fullmatch(LINE + "INFO end", lines[4])


@pytest.mark.parametrize("error", [UserError("no room\nfor it"), ValueError("a bug")])
def test_an_error_is_in_it_and_goes_on(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)), rank_log(tmp_path, 0, 1, "cpu"):
        raise error
    text = log_path(tmp_path, 0).read_text()
    assert ("Traceback" in text) is isinstance(error, ValueError)
    assert "ERROR no room\n    for it" in text or "ERROR ValueError: a bug" in text
    assert "INFO end" not in text


def test_a_death_by_signal_leaves_the_stacks(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from taixue.pretrain.observe.rank_log import rank_log\n"
        "with rank_log(Path(sys.argv[1]), 1, 2, 'cpu'):\n    os.kill(os.getpid(), signal.SIGSEGV)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in log_path(tmp_path, 1).read_text()


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").write_text("a file")
    with caplog.at_level(logging.WARNING, "taixue"), rank_log(tmp_path, 0, 1, "cpu"):
        done = True
    assert done
    assert "training goes on without it" in caplog.text
    full = tmp_path / "full"
    (full / "logs").mkdir(parents=True)
    log_path(full, 0).symlink_to("/dev/full")
    with rank_log(full, 0, 1, "cpu"):
        logging.getLogger("taixue").info("lost")
