"""The corpus build: formats, splits, reruns, kills, dead workers, damage."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from taixue import UserError
from taixue.data_tools.build.builder import build, workers
from taixue.data_tools.config import CorpusBuildConfig
from taixue.data_tools.shards import manifest
from taixue.data_tools.shards.corpus import open_corpus
from taixue.data_tools.tokenizer.store import load_tokenizer

from ..texts import make_corpus, make_texts, write_jsonl


def _config(tmp_path: Path, tokenizer: Path, output: str = "corpus", **settings: object) -> CorpusBuildConfig:
    """Two sources, five input shards."""
    if not (tmp_path / "web").exists():
        write_jsonl(tmp_path / "web" / "a.jsonl", make_texts(300, seed=1))
        write_jsonl(tmp_path / "web" / "b.jsonl", make_texts(40, seed=2))
        (tmp_path / "news.txt").write_text(
            "\n".join(text.replace("\n", " ") for text in make_texts(30, seed=3))
        )
    values = {
        "tokenizer": str(tokenizer),
        "sources": [
            {"name": "web", "inputs": [str(tmp_path / "web")]},
            {"name": "news", "inputs": [str(tmp_path / "news.txt")]},
        ],
        "output": str(tmp_path / output),
        "validation_fraction": 0.1,
        "shard_bytes": 40_000,
        "workers": 1,
    }
    return CorpusBuildConfig.model_validate(values | settings)


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["t5", "bert"])
def test_a_corpus_holds_every_document_once(
    kind: str, tmp_path: Path, t5_folder: Path, bert_folder: Path
) -> None:
    folder = t5_folder if kind == "t5" else bert_folder
    tokenizer = load_tokenizer(folder)
    config = _config(tmp_path, folder)
    built = build(config)
    listing = manifest.read_corpus(built)
    assert listing.tokenizer.sha256 == tokenizer.sha256
    assert (listing.tokenizer.kind, listing.tokenizer.eos_id) == (kind, tokenizer.eos_id)
    assert [shard.name for shard in listing.shards if shard.split == "train"] == [
        *(f"train-web-{number:05d}" for number in range(4)),
        "train-news-00000",
    ]
    expected = {
        "web": make_texts(300, seed=1) + make_texts(40, seed=2),
        "news": [text.replace("\n", " ") for text in make_texts(30, seed=3)],
    }
    for source, texts in expected.items():
        found = []
        for split in ("train", "validation"):
            shards = open_corpus(built, split, digests=True).shards_of(source)
            assert shards
            for shard in shards:
                shard.reader.check_tables()
                documents = [
                    shard.reader.document(number).tolist() for number in range(shard.entry.documents)
                ]
                assert all(document[-1] == tokenizer.eos_id for document in documents)
                found += documents
        assert sorted(found) == sorted([*row.tolist(), tokenizer.eos_id] for row in tokenizer.encode(texts))
    sizes = {source: sum(len(text.encode()) for text in texts) for source, texts in expected.items()}
    for source, size in sizes.items():
        assert sum(shard.bytes for shard in listing.shards if shard.source == source) == size
    fraction = sum(s.documents for s in listing.shards if s.split == "validation") / 370
    assert 0.05 < fraction < 0.17


def test_workers_ranks_and_processes_change_nothing(tmp_path: Path, t5_folder: Path) -> None:
    one = _contents(build(_config(tmp_path, t5_folder, "one")))
    assert _contents(build(_config(tmp_path, t5_folder, "two", workers=3))) == one
    shared = _config(tmp_path, t5_folder, "ranks")
    for rank in (2, 0):
        build(shared, rank, 3)
        assert not (tmp_path / "ranks" / "corpus.json").exists()
    build(shared, 1, 3)
    assert _contents(tmp_path / "ranks") == one
    with pytest.raises(UserError, match="rank 3 of 3"):
        build(shared, 3, 3)


def test_a_rerun_makes_only_what_changed(tmp_path: Path, t5_folder: Path) -> None:
    config = _config(tmp_path, t5_folder)
    folder = build(config)
    before = _contents(folder)

    def times() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.*")}

    old = times()
    build(config)
    assert {name for name, at in times().items() if at != old[name]} == {"corpus.json", "flow.json"}

    (folder / "train-web-00001.bin").unlink()
    old = times()
    build(config)
    assert _contents(folder) == before
    assert all(
        "web-00001" in name or name in ("corpus.json", "flow.json")
        for name, at in times().items()
        if at != old.get(name)
    )

    # Another split of the same inputs: everything is made again, nothing of the old is left in corpus.json.
    build(_config(tmp_path, t5_folder, validation_fraction=0.3))
    assert _contents(folder) != before
    open_corpus(folder, "validation", digests=True)
    build(config)
    assert _contents(folder) == before

    # A changed input: its source is made again, the other source stays.
    news = (folder / "train-news-00000.bin").stat().st_mtime_ns
    write_jsonl(tmp_path / "web" / "b.jsonl", make_texts(41, seed=2))
    build(config)
    documents = sum(shard.documents for shard in manifest.read_corpus(folder).shards)
    assert documents == 300 + 41 + 30
    assert (folder / "train-news-00000.bin").stat().st_mtime_ns == news


@pytest.mark.parametrize("processes", [1, 2])
def test_kill_and_rerun_gives_the_same_bytes(tmp_path: Path, t5_folder: Path, processes: int) -> None:
    """SIGKILL at several moments of one build: the rerun after the last kill ends with the undisturbed bytes."""
    whole = _contents(build(_config(tmp_path, t5_folder, "whole", shard_bytes=8000)))
    config = _config(tmp_path, t5_folder, "killed", shard_bytes=8000, workers=processes)
    code = "import sys; from tests.data_tools.build.test_build import build_slowly; build_slowly(sys.argv[1])"
    folder = tmp_path / "killed"
    for wanted in (2, 5, 9):
        process = subprocess.Popen(
            [sys.executable, "-c", code, config.model_dump_json()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while len(list(folder.glob("*.json"))) < wanted and time.monotonic() < deadline:
            assert process.poll() is None, "the build ended before it was killed"
            time.sleep(0.005)
        process.kill()
        process.wait()
        assert not (folder / "corpus.json").exists()
    left = len(list(folder.glob("*.json")))
    assert 9 <= left < len([name for name in whole if name.endswith(".json")])
    build(config)
    assert _contents(folder) == whole  # no temporary files either


def build_slowly(config: str) -> None:
    """A build whose tasks take long enough to be killed in the middle."""
    workers.run_task = _slow_task
    build(CorpusBuildConfig.model_validate_json(config))


def _slow_task(task: workers.Runnable) -> Iterator[int]:
    for amount in task.run():
        time.sleep(0.1)
        yield amount


def _work(task: str) -> Iterator[int]:
    yield 1
    if task == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "fail":
        raise UserError("planted")
    if task == "leave":
        sys.exit(3)
    yield 2


def test_workers_report_in_processes() -> None:
    with workers.Workers(_work, 4) as processes:
        assert sum(processes.run(["a", "b", "c"])) == 9
        assert list(processes.run(["a"])) == [1, 2]
        assert list(processes.run([])) == []


def test_workers_are_kept_and_replaced() -> None:
    with workers.Workers(_work_by, 2) as processes:
        first = set(processes.run(["a", "b", "c"]))
        assert os.getpid() not in first
        assert set(processes.run(["a", "b"])) <= first
        os.kill(first.pop(), signal.SIGKILL)
        assert sum(amount > 0 for amount in processes.run(["a", "b", "c", "d"])) == 4


def _work_by(task: str) -> Iterator[int]:
    yield os.getpid()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("die", "3 worker processes died while making die, the last one was killed by signal 9"),
        ("leave", "the last one ended with status 3"),
        ("fail", "planted"),
    ],
)
def test_a_dead_or_failing_worker_ends_the_work(task: str, message: str) -> None:
    with pytest.raises(UserError, match=message), workers.Workers(_work, 2) as processes:
        list(processes.run(["a", "b", task, "c", "d"]))


def test_bad_lines_go_to_quarantine(tmp_path: Path, t5_folder: Path) -> None:
    config = _config(tmp_path, t5_folder)
    path = tmp_path / "web" / "a.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[250] = b'{"text": "\xe4\xb8"}'
    path.write_bytes(b"\n".join(lines))
    folder = build(config)
    kept = [
        json.loads(line)
        for file in (folder / "quarantine").iterdir()
        for line in file.read_text().splitlines()
    ]
    reason = "invalid UTF-8 at byte 11 of the line"
    assert kept == [{"file": str(path), "line": 251, "reason": reason, "last": 251}]
    assert sum(shard.documents for shard in manifest.read_corpus(folder).shards) == 369
    path.write_bytes(b"\n".join(lines[:250] + lines[251:]))
    build(config)
    assert list((folder / "quarantine").iterdir()) == []


def test_both_splits_get_a_document(tmp_path: Path, t5_folder: Path) -> None:
    rare = make_corpus(tmp_path / "rare", t5_folder, {"a": make_texts(5)}, validation_fraction=1e-9)
    often = make_corpus(tmp_path / "often", t5_folder, {"a": make_texts(5)}, validation_fraction=1 - 1e-9)
    single = make_corpus(tmp_path / "single", t5_folder, {"a": make_texts(1)}, validation_fraction=1e-9)
    none = make_corpus(tmp_path / "none", t5_folder, {"a": make_texts(5)}, validation_fraction=0)
    counts = [
        {shard.split: shard.documents for shard in manifest.read_corpus(folder).shards}
        for folder in (rare, often, single, none)
    ]
    assert counts == [
        {"train": 4, "validation": 1},
        {"train": 1, "validation": 4},
        {"train": 1},
        {"train": 5},
    ]
    again = _contents(rare)
    make_corpus(tmp_path / "rare2", t5_folder, {"a": make_texts(5)}, validation_fraction=1e-9)
    for name in ("train-a-00000.bin", "validation-a-00000.bin"):
        assert (tmp_path / "rare2" / name).read_bytes() == again[name]


def test_copies_of_a_document_are_on_the_same_side(tmp_path: Path, t5_folder: Path) -> None:
    folder = make_corpus(tmp_path / "a", t5_folder, {"a": make_texts(50) * 2}, validation_fraction=0.3)
    reader = open_corpus(folder, "validation").shards[0].reader
    rows = [tuple(reader.document(number)) for number in range(len(reader.lengths))]
    assert len(rows) == 2 * len(set(rows)) > 10


def test_no_documents_is_an_error(tmp_path: Path, t5_folder: Path) -> None:
    with pytest.raises(UserError, match="source 'a': 0 documents"):
        make_corpus(tmp_path / "a", t5_folder, {"a": []})
    assert not (tmp_path / "a" / "corpus.json").exists()


def test_damage_is_found(tmp_path: Path, t5_folder: Path) -> None:
    config = _config(tmp_path, t5_folder)
    folder = build(config)
    path = folder / "train-web-00002.bin"
    raw = bytearray(path.read_bytes())
    raw[1001] ^= 4
    path.write_bytes(bytes(raw))
    open_corpus(folder, "train")
    with pytest.raises(UserError, match=r"train-web-00002\.bin: its bytes have changed"):
        open_corpus(folder, "train", digests=True)
    (folder / "train-web-00002.json").unlink()
    build(config)
    open_corpus(folder, "train", digests=True)

    path.write_bytes(bytes(raw[:-10]))
    with pytest.raises(UserError, match=rf"train-web-00002\.bin: {len(raw) - 10} bytes, but .* {len(raw)}"):
        open_corpus(folder, "train")
    path.unlink()
    with pytest.raises(UserError, match=r"train-web-00002\.bin: missing"):
        open_corpus(folder, "train")
    with pytest.raises(UserError, match="no source 'x'; it has web, news"):
        open_corpus(folder, "validation").shards_of("x")

    listing = json.loads((folder / "corpus.json").read_text())
    listing["shards"][0]["tokens"] = "many"
    (folder / "corpus.json").write_text(json.dumps(listing))
    with pytest.raises(UserError, match=r"corpus\.json: damaged or of another version: shards\.0\.tokens"):
        open_corpus(folder, "train")
    (folder / "corpus.json").unlink()
    with pytest.raises(
        UserError, match=r"no corpus\.json: not a corpus folder, or its build has not finished"
    ):
        open_corpus(folder, "train")


def test_shards_hold_uint16(tmp_path: Path, t5_folder: Path) -> None:
    folder = make_corpus(tmp_path / "a", t5_folder, {"a": make_texts(5)})
    assert open_corpus(folder, "train").shards[0].reader.tokens.dtype == np.uint16


def test_an_output_that_cannot_be_written(tmp_path: Path, t5_folder: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        build(_config(tmp_path, t5_folder, "file/corpus"))
