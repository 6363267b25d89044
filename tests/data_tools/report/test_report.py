"""The report's numbers are those of the corpus, and its page needs nothing else."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest

from taixue import UserError
from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig
from taixue.data_tools.report import report

from ..texts import make_corpus, make_texts, write_jsonl


class _Page(HTMLParser):
    """Open elements at the end, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_report_of_a_corpus(tmp_path: Path, t5_folder: Path) -> None:
    sources = {"news": [*make_texts(80, seed=1), "<script>alert(1)</script>"], "web": make_texts(40, seed=2)}
    corpus = make_corpus(
        tmp_path / "corpus",
        t5_folder,
        sources,
        annotate={},
        filters={"rules": [{"name": "<b>short", "measure": "characters", "minimum": 30}]},
    )
    page = report(corpus, tokenizer=str(t5_folder))
    facts = orjson.loads((corpus / "report.json").read_bytes())
    assert facts["totals"]["documents"] == sum(source["documents"] for source in facts["sources"].values())
    kept = sum(len(text) >= 30 for texts in sources.values() for text in texts)
    assert facts["totals"]["documents"] == kept
    news = facts["sources"]["news"]
    assert sum(news["lengths"]["counts"]) == news["documents"]
    assert 0 < news["characters_per_token"] < 10
    found = facts["annotation"]
    assert found["tokens"] == facts["totals"]["tokens"]
    assert 0 < found["sentences"] <= found["clauses"] <= found["units"] <= found["tokens"]
    assert found["connectives"] == sum(found["connective_kinds"].values()) > 0

    text = page.read_text("utf-8")
    parser = _Page()
    parser.feed(text)
    assert parser.open == []
    assert parser.addresses == []
    assert "<script" not in text
    assert "&lt;b&gt;short" in text
    assert not re.search(r"https?://", text)
    assert report(corpus, tmp_path / "elsewhere").parent == tmp_path / "elsewhere"


def test_what_was_taken_and_what_was_not_read(tmp_path: Path, t5_folder: Path) -> None:
    """By source and rule; lines by file and reason; files that an input has and the corpus has not."""
    rules = {"rules": [{"name": "<b>short", "measure": "characters", "minimum": 30}]}
    corpus = make_corpus(tmp_path / "corpus", t5_folder, {"news": [*make_texts(20), "短"]}, filters=rules)
    path = tmp_path / "corpus-news.jsonl"
    path.write_bytes(path.read_bytes() + b'{"text": "\xe4\xb8"}\n{"text": "a\xe4\xb8"}\n{"text": 3}\n')
    sources = [{"name": "news", "inputs": [str(path)]}]
    build(
        CorpusBuildConfig(
            tokenizer=str(t5_folder), sources=sources, output=str(corpus), filters=rules, workers=1
        )
    )
    flow = orjson.loads((corpus / "flow.json").read_bytes())
    flow["steps"][0]["details"]["not_read"] = {"unknown ending": {"files": 7, "first": ["news/<old>.doc"]}}
    (corpus / "flow.json").write_bytes(orjson.dumps(flow))
    text = report(corpus).read_text("utf-8")
    facts = orjson.loads((corpus / "report.json").read_bytes())
    assert facts["unfinished"] is None
    assert [(entry["lines"], entry["first"]) for entry in facts["rejected"]] == [(2, 22), (1, 24)]
    assert facts["rejected"][0]["reason"] == "invalid UTF-8 at byte … of the line"
    entry = {"source": "news", "reason": "unknown ending", "files": 7, "first": ["news/<old>.doc"]}
    assert facts["not_read"] == [entry]
    cells = '<td class="words">news</td><td class="words">unknown ending</td><td>7</td>'
    assert f"<td>news/&lt;old&gt;.doc, …</td>{cells}" in text
    assert re.search(r"<td>· &lt;b&gt;short</td><td>3</td><td>14\.3%</td>", text)


def test_report_of_an_unfinished_build(tmp_path: Path, t5_folder: Path) -> None:
    """One of two ranks is done; the other shards are of an earlier configuration and do not count."""
    texts = {"web": make_texts(100, seed=1), "news": make_texts(40, seed=2)}
    folder = make_corpus(tmp_path / "corpus", t5_folder, texts, shard_bytes=4_000, normalize={})
    config = CorpusBuildConfig(
        tokenizer=str(t5_folder),
        sources=[{"name": name, "inputs": [str(tmp_path / f"corpus-{name}.jsonl")]} for name in texts],
        output=str(folder),
        shard_bytes=4_000,
        workers=1,
    )
    build(config, 0, 2)
    report(folder)
    facts = orjson.loads((folder / "report.json").read_bytes())
    assert 0 < facts["unfinished"]["shards"] < facts["unfinished"]["of"]
    assert 2 * facts["unfinished"]["shards"] - facts["unfinished"]["of"] in (0, 1)
    assert 0 < facts["totals"]["documents"] < 140
    read = [step for step in facts["flow"] if step["step"] == "read"]
    assert sum(step["documents"] for step in read) == facts["totals"]["documents"]
    assert "the build is not finished" in (folder / "report.html").read_text()
    build(config, 1, 2)
    assert not (folder / "report.html").exists()
    report(folder)
    assert orjson.loads((folder / "report.json").read_bytes())["totals"]["documents"] == 140


def test_report_of_a_build_with_nothing_yet(tmp_path: Path, t5_folder: Path) -> None:
    """All of it removed: the page says by what."""
    rules = {"rules": [{"name": "long", "measure": "characters", "minimum": 100_000}]}
    with pytest.raises(UserError, match="'long' took 20"):
        make_corpus(tmp_path / "corpus", t5_folder, {"news": make_texts(20)}, filters=rules, deduplicate={})
    text = report(tmp_path / "corpus", tokenizer=str(t5_folder)).read_text("utf-8")
    assert "0 of 1 input shards" in text
    assert "<td>· long</td><td>20</td><td>100.0%</td>" in text


def test_mistakes_are_named(tmp_path: Path, t5_folder: Path, bert_folder: Path) -> None:
    with pytest.raises(UserError, match=r"no corpus\.json"):
        report(tmp_path)
    corpus = make_corpus(tmp_path / "corpus", t5_folder, {"news": make_texts(5)})
    with pytest.raises(UserError, match="another tokenizer"):
        report(corpus, tokenizer=str(bert_folder))


def test_external_records_and_near_copies_are_said(
    tmp_path: Path, t5_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records are counted for all sources together, in the console, too."""
    texts = {"news": make_texts(30, seed=1, words=30), "web": make_texts(30, seed=2, words=30)}
    twin = texts["news"][5]
    changed = twin[:-3] + "改了吧"
    texts["news"].append(changed)
    records = [
        {"text": text, "clauses": [0]} for text in (*texts["news"][:3], texts["web"][0], "没有。", "没有。")
    ]
    records.append({"text": texts["web"][1], "entities": [[0, 9999, "LOC"]]})
    (tmp_path / "ltp.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for name, own in texts.items():
        write_jsonl(tmp_path / f"{name}.jsonl", own)
    folder = build(
        CorpusBuildConfig.model_validate(
            {
                "tokenizer": str(t5_folder),
                "sources": [
                    {"name": "news", "inputs": [str(tmp_path / "news.jsonl")]},
                    {"name": "web", "inputs": [str(tmp_path / "web.jsonl")], "deduplicate": ["documents"]},
                ],
                "output": str(tmp_path / "corpus"),
                "deduplicate": {},
                "annotate": {"external": {"inputs": [str(tmp_path / "ltp.jsonl")]}},
                "validation_fraction": 0.1,
                "workers": 1,
            }
        )
    )
    said = capsys.readouterr().out
    assert "7 records: 5 used, 1 of no document, 1 of a text that has one already" in said
    assert "1 document refused: entities: an offset lies outside the text" in said
    text = report(folder).read_text("utf-8")
    facts = orjson.loads((folder / "report.json").read_bytes())
    counts = {
        "records": 7,
        "used": 5,
        "used_again": 0,
        "unused": 1,
        "repeated": 1,
        "documents": 4,
        "missing": 55,
    }
    assert facts["external"] == counts | {"refused": {"entities: an offset lies outside the text": 1}}
    assert "<td>· entities: an offset lies outside the text</td><td>1</td>" in text
    (pair,) = facts["near_copies"]
    assert {pair["kept"]["text"], pair["removed"]["text"]} == {twin, changed}
    assert facts["near_copies_not_looked_for"] == ["web"]
    assert "Near copies were not looked for in web" in text
    # A source that is not asked for near copies is still there after that step.
    assert re.search(r">near duplicates</text>.*?>60, −1 \(1\.6%\)<", text.partition("<h3>Documents left")[2])
