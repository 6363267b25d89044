"""The bench runs from end to end; how fast things are is no test."""

import re
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
from rich.console import Console

from taixue import UserError
from taixue.data_tools import bench, native
from taixue.data_tools.bench import libraries, made_documents, peers, processes, recall, steps
from taixue.data_tools.bench.table import Row

from ..texts import make_texts, write_jsonl


def test_recombined_documents_have_copies_of_known_similarity(tmp_path: Path) -> None:
    sources = [make_texts(60), make_texts(60, seed=1)]
    file = made_documents.recombine(sources, 0.2, tmp_path / "a.jsonl")
    assert made_documents.recombine(sources, 0.2, tmp_path / "b.jsonl") == made_documents.File(
        tmp_path / "b.jsonl", "text", file.documents, file.megabytes, file.planted
    )
    assert [orjson.loads(line)["text"] for line in file.path.open("rb")] == file.documents
    assert 0.19 <= file.megabytes < 0.22
    assert len(file.planted) > 5
    assert len({number for pair in file.planted for number in (pair.copy, pair.of)}) == 2 * len(file.planted)
    for pair in file.planted:
        one, other = file.documents[pair.copy], file.documents[pair.of]
        assert pair.jaccard == made_documents.jaccard(one, other)
        assert pair.jaccard == 1 or one != other
    part, megabytes = file.part(0.05, tmp_path / "c.jsonl")
    assert made_documents.from_file(part, "text").documents == file.first(0.05)
    assert 0.05 <= megabytes < 0.08


def test_jaccard_counts_letters_only() -> None:
    assert made_documents.jaccard("今天，天气 很好Ab", "今天天气很好aB!") == 1
    assert made_documents.jaccard("abcdef", "abcdeg") == 1 / 3
    assert made_documents.jaccard("一二三四五", "六七八九十") == 0


def test_most_similar_by_brute_force() -> None:
    texts = [*make_texts(20), make_texts(3)[2] + "又一句", "短"]
    found = recall.most_similar(texts, [2, 5, 21])
    for number, value in found.items():
        others = (made_documents.jaccard(texts[number], text) for k, text in enumerate(texts) if k != number)
        assert value == max(others)
    assert found[2] > 0.8


def test_one_run(t5_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything, tiny, with one peer that is there and one that is not."""
    texts = [str(write_jsonl(tmp_path / f"{k}.jsonl", make_texts(60, seed=k))) for k in range(2)]
    missing = peers.Peer("nobody", ("a_module_that_nobody_has",), "nobody", 1, "nothing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "PEERS", (*peers.PEERS, missing))
        results = bench.bench(
            texts, 0.15, t5_folder, rounds=1, chosen=("sentencepiece", "nobody"), json=tmp_path / "r.json"
        )
    rows = {row.name: row for row in results.rows}
    lists = libraries.Lists((t5_folder / "spiece.model").read_bytes(), ["一"])
    assert set(steps.native_steps(lists)) < set(rows)
    for rival in libraries.RIVALS:
        row = rows[rival.name]
        assert row.speed > 0 if rival.is_installed else row.note.startswith("not installed: pip install ")
    for name in ("all steps, no annotation", "all steps, annotation", "sentencepiece", "read"):
        assert rows[name].speed > 0, rows[name]
    assert rows["nobody"].note == "not installed: pip install nobody"
    assert rows["all steps, annotation"].note.startswith("keeps ")
    assert len(results.where) > 3
    assert results.where["start-up"] > 0
    close = results.recall["by_jaccard"]["at least 0.8"]
    assert close["joined"] == close["planted"] > 3
    assert results.recall["by_jaccard"]["below 0.5"]["joined"] == 0
    assert results.recall["wrongly_removed"] == 0
    written = orjson.loads((tmp_path / "r.json").read_bytes())
    assert written["recall"] == results.recall
    assert {row["name"] for row in written["rows"]} == set(rows)
    results.show(Console(width=200))
    out = capsys.readouterr().out
    assert "not installed: pip install nobody" in out
    assert "at least 0.8: " in out


def test_rivals_of_the_same_result(t5_folder: Path) -> None:
    """Each that is installed and is said to give it; re stands in for re2, which takes its patterns."""
    texts = [
        *make_texts(30),
        "电话138-1234-5678，13812345678，见www.a.cn，信a@b.cn；10.0.0.255，(010)62345678。",
    ]
    lists = libraries.Lists((t5_folder / "spiece.model").read_bytes(), steps.frequent_words(texts, 50))
    of = {rival.module: rival for rival in libraries.RIVALS if not rival.differs}
    assert set(of) == {"re2", "ahocorasick", "ahocorasick_rs", "sentencepiece"}
    masked, counts = native.mask_personal(texts)
    assert libraries.judged_by_re(re.compile)(texts) == masked
    assert counts.sum() == 6
    ids, _ = native.Unigram(lists.spiece_model).encode(texts)
    assert ids.values.tolist() == np.concatenate(of["sentencepiece"].make(lists)(texts)).tolist()
    if of["ahocorasick_rs"].is_installed:
        longest = native.KeywordMatcher(lists.words).longest(texts).values.tolist()
        found = of["ahocorasick_rs"].make(lists)(texts)
        assert [(begin, end, word) for row in found for word, begin, end in row] == longest


def test_a_file_of_the_users_own(tmp_path: Path, t5_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", make_texts(30), field="body")
    monkeypatch.setattr(bench.builds.Builds, "rows", lambda self: [])  # the run above has them
    monkeypatch.setattr(bench.builds.Builds, "where", lambda self: {})
    results = bench.bench([str(path)], None, t5_folder, "body", 1, chosen=())
    assert results.file == {
        "path": str(path),
        "documents": 30,
        "megabytes": made_documents.size_of(make_texts(30)),
        "planted": 0,
    }
    assert results.recall == {}


def test_a_peer_that_fails_is_said(tmp_path: Path, t5_folder: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", make_texts(30), field="body")
    file = made_documents.File(path, "text", make_texts(30), 0.01)
    (peer,) = (peer for peer in peers.PEERS if peer.name == "sentencepiece")
    (row,) = peers.rows([peer], file, t5_folder, tmp_path / "peers", [], lambda text: None)
    assert row.note.startswith("failed: ")
    assert "KeyError: 'text'" in row.note
    with pytest.raises(UserError, match="does not start"):
        peers.rows(
            [peers.Peer("x", ("nothing_of_it",), "x", 1, "")], file, t5_folder, tmp_path, ["/nowhere"], print
        )


def test_children_count(tmp_path: Path) -> None:
    """CPU time of a process's children is its own."""
    burn = "import time; a = time.process_time()\nwhile time.process_time() < a + 0.3: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}], check=True)"
    used = processes.run([sys.executable, "-c", parent], tmp_path / "log")
    assert used.seconds >= 0.3
    with pytest.raises(UserError, match="ended with status 3"):
        processes.run([sys.executable, "-c", "import sys; sys.exit(3)"], tmp_path / "log")
    with pytest.raises(UserError, match="ended with status -9"):
        processes.run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", limit=0.2)


def test_speeds() -> None:
    row = Row("g", "n", megabytes=10, seconds=5, start_up=3)
    assert (row.speed, row.net) == (2, 5)
    assert (Row("g", "n").speed, Row("g", "n", 1, 2, 2).net) == (0, 0)


def test_mistakes(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(UserError, match="0 documents"):
        bench.bench([str(tmp_path / "empty.txt")])
    with pytest.raises(UserError, match=r"no spiece\.model"):
        bench.bench(tokenizer=tmp_path)
    with pytest.raises(UserError, match="not empty"):
        bench.bench(folder=tmp_path)
    with pytest.raises(UserError, match="rounds: 0"):
        bench.bench(rounds=0)
