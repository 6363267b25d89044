"""Text of HTML pages: the main part, in the page's encoding."""

import time
from pathlib import Path

import pytest

from taixue.data_tools import read
from taixue.data_tools.bench import extraction
from taixue.data_tools.bench.made_pages import Page, pages
from taixue.data_tools.read import ReadOptions
from taixue.data_tools.read.pages import all_text, main_text

from .test_warc import _http, _record

MADE = {page.name: page for page in pages()}
MENU, SCRIPT, COMMENT = "娱乐", "不要这一段", "沙发！"


@pytest.mark.parametrize("page", MADE.values(), ids=MADE)
def test_main_text_of_made_pages(tmp_path: Path, page: Page) -> None:
    """What docs/corpus.md says of recall and precision holds page by page, roughly."""
    path = tmp_path / "a.warc"
    path.write_bytes(_record(_http(page.content, kind="text/html")))
    (text,) = read.documents(read.whole(path), ReadOptions(), lambda rejected: None)
    precision, recall = extraction.scores(text, page.wanted)
    assert recall >= 0.9
    assert precision >= (0.5 if page.name in ("short notice", "forum", "forum, tables") else 0.7)
    assert SCRIPT not in text
    assert not any(line.isspace() or not line for line in text.split("\n"))


def test_all_text(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(_record(_http(MADE["comments"].content, kind="text/html")))
    for main in (True, False):
        (text,) = read.documents(read.whole(path), ReadOptions(main_text=main), lambda rejected: None)
        assert (MENU in text, COMMENT in text, SCRIPT in text) == (not main, not main, False)


@pytest.mark.parametrize(
    "declared", ["text/html; charset=gbk", "text/html", "application/xhtml+xml; charset=GB2312", ""]
)
def test_encodings(tmp_path: Path, declared: str) -> None:
    page = MADE["news, gbk"]
    path = tmp_path / "a.warc"
    path.write_bytes(_record(_http(page.content, kind=declared)))
    (text,) = read.documents(read.whole(path), ReadOptions(), lambda rejected: None)
    assert page.wanted.split("\n")[1] in text


def test_a_page_without_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(_record(_http(RAW_PAGE, kind="text/html")) * 2 + _record(_http(b"x")))
    rejected: list[read.Rejected] = []
    assert list(read.documents(read.whole(path), ReadOptions(), rejected.append)) == ["x"]
    assert [(one.line, one.reason) for one in rejected] == [
        (1, "a page without text"),
        (2, "a page without text"),
    ]


RAW_PAGE = b"<html><script>nothing but this</script>"


@pytest.mark.parametrize("part", ["<div>", "<table><tr><td>", "</div><div>", "<ul><li>", "<b>"])
def test_deep_pages_take_no_time(part: str) -> None:
    page = "<body><p>一段正文。</p>" + "</div>" * 5000 + part * 20_000
    begin = time.process_time()
    assert "一段正文" in main_text(page)
    assert "一段正文" in all_text(page)
    assert time.process_time() - begin < 5
