"""A rank that fails leaves at once, though others are stuck in a collective: who watches ranks hears of it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from .runs import settings

RANK = """
import os, sys, time
from taixue.parallel.runtime import Runtime
from taixue.pretrain import train

seed = Runtime.seed

def disturbed(self, number, step):
    if step == 1:
        if os.environ["RANK"] == "0":
            time.sleep(600)
        raise {error}
    seed(self, number, step)

Runtime.seed = disturbed
sys.exit(train.command(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [("ValueError('a bug')", 1, "ValueError: a bug"), ("train.UserError('a mistake')", 2, "")],
)
def test_a_failing_rank_waits_for_nobody(
    error: str, status: int, says: str, made: dict[str, str], tmp_path: Path
) -> None:
    program, config = tmp_path / "rank.py", tmp_path / "run.yaml"
    program.write_text(RANK.format(error=error))
    config.write_text(yaml.safe_dump(settings(tmp_path, made, eval_every=0)))
    given = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29417"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(program), str(config)],
            env=os.environ | given | {"RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        begun = time.monotonic()
        _, err = ranks[1].communicate(timeout=200)
        assert ranks[1].returncode == status, err
        assert says in err
        assert time.monotonic() - begun < 180  # parallel.timeout_seconds is 1,800
        assert ranks[0].poll() is None
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()
