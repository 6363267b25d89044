"""The report's numbers are those of the corpus, and its page needs nothing else."""

import re
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest

from taixue import UserError
from taixue.data_tools.report import report

from ..texts import make_corpus, make_texts


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


def test_mistakes_are_named(tmp_path: Path, t5_folder: Path, bert_folder: Path) -> None:
    with pytest.raises(UserError, match=r"no corpus\.json"):
        report(tmp_path)
    corpus = make_corpus(tmp_path / "corpus", t5_folder, {"news": make_texts(5)})
    with pytest.raises(UserError, match="another tokenizer"):
        report(corpus, tokenizer=str(bert_folder))
