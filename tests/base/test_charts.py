"""Charts are well-formed, show what they were given, and escape names; pages put them together."""

from xml.etree import ElementTree

import pytest

from taixue.base import charts, page

NAME = "<b>&\"'"
CHARTS = {
    "bars": charts.bars({NAME: 3.0, "other": 0.0}, " %"),
    "flow": charts.flow([(NAME, 10.0, 5.0), ("end", 0.0, 10.0)], "B"),
    "histogram": charts.histogram([1, 2, 4], [3, 0, 1], NAME),
    "grouped": charts.grouped("title", {"case": {NAME: 2.0, "ours": 3.0}, "empty": {}}, "%", "ours"),
    "line": charts.line("title", [(1, 2.5), (2, 2.5), (3_000_000, 1.25)], NAME),
    "dots": charts.dots({"probe": {NAME: [0.0, 0.5], "other": [1.0]}}, scale=100),
}


@pytest.mark.parametrize("kind", CHARTS)
def test_a_chart_is_a_document_of_its_own(kind: str) -> None:
    svg = charts.standalone(CHARTS[kind])
    assert "var(" not in svg, "colours of a page that is not there"
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert NAME in "".join(root.itertext())


def test_lengths_are_in_proportion() -> None:
    root = ElementTree.fromstring(charts.bars({"whole": 8.0, "half": 4.0}))
    whole, half = (float(bar.attrib["width"]) for bar in root.iter("rect"))
    assert whole == pytest.approx(2 * half)
    root = ElementTree.fromstring(charts.line("", [(0, 0.0), (5, 1.0), (10, 4.0)], "step"))
    points = [
        tuple(map(float, point.split(","))) for point in next(root.iter("polyline")).attrib["points"].split()
    ]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert (y0 - y1) * 4 == pytest.approx(y0 - y2, abs=0.5)


def test_a_long_step_is_written_out() -> None:
    assert "step 3000000<" in charts.line("", [(1, 2.0), (3_000_000, 1.0)], "step")


def test_nothing_to_show() -> None:
    assert "nothing to show" in charts.bars({})
    for chart in (
        charts.flow([], ""),
        charts.histogram([], [], ""),
        charts.grouped("", {}, "", ""),
        charts.dots({}),
    ):
        ElementTree.fromstring(chart)


def test_a_page() -> None:
    body = page.table(["a", "b"], [["1", "2"], ["3", "4"]], bold={1})
    made = page.document(NAME, "about", [page.section("Numbers", body), page.section("Empty", "")], name=NAME)
    assert NAME not in made
    assert page.escape(NAME) in made
    assert "Empty" not in made
    assert made.count("<tr>") == 2
    assert '<tr class="strong"><td>3</td>' in made
    for name in charts.LIGHT:
        assert made.count(f"--{name}:") == 2, "a colour for light and for dark"
