"""Many kills of corpus builds, opt-in: TAIXUE_KILLS=50 pytest -s tests/fault/test_corpus_kills.py

So many random workers are killed during one build, then as many whole builds; the bytes must be those of the
undisturbed build each time.
"""

import os
import random
import shutil
from pathlib import Path

import pytest

from taixue.data_tools.build.builder import build

from ..data_tools.passes import test_kills
from ..data_tools.passes.test_build_passes import contents, planted, settings
from ..data_tools.texts import make_tokenizer

KILLS = int(os.environ.get("TAIXUE_KILLS", "0"))
_SHARD_BYTES = 12_000  # small shards: more tasks to be killed in
pytestmark = pytest.mark.skipif(not KILLS, reason="TAIXUE_KILLS is not set")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(test_kills, "_DEADLINE", 60 * KILLS)
    planted(tmp_path)
    make_tokenizer(tmp_path / "tokenizer", "t5", sentinels=20)
    return tmp_path


def test_workers(folder: Path) -> None:
    tokenizer = folder / "tokenizer"
    one = contents(build(settings(folder, tokenizer, "one", shard_bytes=_SHARD_BYTES)))
    choose, done = random.Random(3), 0
    while done < KILLS:
        config = settings(folder, tokenizer, "killed", workers=2, shard_bytes=_SHARD_BYTES)
        done += test_kills.kill_workers(config, KILLS - done, choose)
        assert contents(folder / "killed") == one
        print(f"{done} workers killed, same bytes", flush=True)
        shutil.rmtree(folder / "killed")


def test_whole_builds(folder: Path) -> None:
    tokenizer = folder / "tokenizer"
    one = contents(build(settings(folder, tokenizer, "one", shard_bytes=_SHARD_BYTES)))
    choose, done = random.Random(4), 0
    while done < KILLS:
        config = settings(folder, tokenizer, "killed", workers=2, shard_bytes=_SHARD_BYTES)
        done += test_kills.kill_everything(config, KILLS - done, choose)
        assert contents(folder / "killed") == one
        print(f"{done} builds killed, same bytes", flush=True)
        shutil.rmtree(folder / "killed")
