"""Curves show what they were given, many points within their extremes; names are escaped, words in both languages."""

import re
from html import unescape
from xml.etree import ElementTree

import numpy as np
import pytest

from taixue.base import language, page
from taixue.base.curves import MARK, PALETTE, Axis, Curve, Lane, Mark, chart, lanes, thinned
from taixue.base.language import Both

NAME = "<b>&\"'</title><script>"
STEP = Axis(Both("step", "步"), short=lambda value: f"{value:,.0f}")
LOSS = Axis(Both("nats", "纳特"))


def drawing(figure: str) -> ElementTree.Element:
    """The SVG of a figure, which must be well-formed."""
    found = re.search("<svg.*</svg>", figure, re.S)
    assert found is not None
    return ElementTree.fromstring(found[0])


def lines(figure: str, group: str = "linear") -> list[list[tuple[float, float]]]:
    root = drawing(figure)
    place = next(one for one in root.iter("g") if one.get("class") == group)
    return [
        [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]  # type: ignore[misc]
        for line in place.iter("polyline")
    ]


def test_hostile_names_are_text() -> None:
    figure = chart(
        NAME, [Curve(NAME, [(1, 2.0), (2, 1.0)])], Axis(NAME), Axis(NAME), [Mark(1.5, NAME, alarm=True)]
    )
    figure += lanes(NAME, [Lane(NAME, spans=[(0, 1, NAME, True)], events=[(0.5, NAME)])], Axis(NAME))
    assert "<script" not in figure
    assert figure.count(page.escape(NAME)) >= 8
    for svg in re.findall("<svg.*?</svg>", figure, re.S):
        assert NAME in "".join(ElementTree.fromstring(svg).itertext())


def test_places_are_in_proportion() -> None:
    (line,) = lines(chart("", [Curve("a", [(0, 0.0), (5, 1.0), (10, 4.0)])], STEP, LOSS))
    (x0, y0), (x1, y1), (x2, y2) = line
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert (y0 - y1) * 4 == pytest.approx(y0 - y2, abs=0.5)


def test_a_logarithmic_axis_where_all_values_allow_it() -> None:
    tens = Curve("a", [(0, 1.0), (1, 10.0), (2, 100.0)])
    figure = chart("", [tens], STEP, LOSS, log=True)
    ((_, y0), (_, y1), (_, y2)) = lines(figure, "log")[0]
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert "logarithmic" in figure
    assert "logarithmic" not in chart("", [tens, Curve("b", [(0, 0.0)])], STEP, LOSS, log=True)


def test_many_points_leave_their_extremes_in_the_picture() -> None:
    points = [(float(k), 1.0) for k in range(100_000)]
    points[54_321] = (54_321.0, 9.0)
    points[54_322] = (54_322.0, 0.5)
    columns = thinned(np.array(points), 0.0, 99_999.0, 300)
    assert len(columns) == 300
    assert max(column.high for column in columns) == 9.0
    assert min(column.low for column in columns) == 0.5
    assert all(column.low <= column.mean <= column.high for column in columns)
    figure = chart("", [Curve("a", points)], STEP, LOSS)
    assert "<polygon" in figure, "a band"
    assert "(0.5 – 9)" in unescape(figure), "and its ends, where one points"
    assert len(figure) < 60_000


def test_gaps_one_point_equal_values_and_nothing() -> None:
    nan, inf = float("nan"), float("inf")
    assert chart("", [Curve("a", [(1, nan), (2, inf)])], STEP, LOSS) == ""
    assert len(lines(chart("", [Curve("a", [(1, 2.0), (2, nan), (3, 2.0)])], STEP, LOSS))[0]) == 2
    for points in ([(5, 0.0)], [(1, 1e-9), (2, 1e-9)], [(1, -3e12), (2, 4e12)]):
        drawing(chart("", [Curve("a", points)], STEP, LOSS, log=True))
    assert lanes("", [Lane("a")], STEP) == ""
    drawing(lanes("", [Lane("a", events=[(3, "x")])], STEP))


def test_what_was_abandoned_is_grey_below_the_others_and_without_a_name() -> None:
    figure = chart(
        "", [Curve("a", [(1, 2.0)]), Curve("a", [(2, 3.0)], abandoned=True), Curve("b", [(1, 1)])], STEP, LOSS
    )
    assert figure.index('class="drawn abandoned"') < figure.index('class="drawn k0"')
    assert 'class="drawn k1"' in figure, "it takes no colour"
    assert "done again since" in figure


def test_more_curves_than_colours() -> None:
    curves = [Curve(f"s{k}", [(0, k), (1, k)]) for k in range(len(PALETTE) + 1)]
    figure = chart("", curves, STEP, LOSS)
    assert figure.count('class="drawn k0"') == 2


def test_events_in_one_column_are_listed_together() -> None:
    figure = lanes(
        "", [Lane("saves", events=[(k / 1e6, f"at {k}") for k in range(1000)] + [(1e3, "end")])], STEP
    )
    assert "at 0 · at 1" in figure
    assert "+992" in figure
    assert len(figure) < 5000


def test_both_languages_and_the_switch() -> None:
    words = Both("a & b", "甲与乙")
    assert language.html(words) == '<span lang="en">a &amp; b</span><span lang="zh">甲与乙</span>'
    assert language.html("<i>") == "&lt;i&gt;"
    assert language.svg(words).startswith('<tspan lang="en">')
    plain = page.document("Title", "about", [page.section("One", "body")])
    assert "chinese" not in plain.partition("<body>")[2]
    assert "<script" not in plain
    made = page.document(
        Both("Run", "训练"), "about", [chart(words, [Curve("a", [(1, 1)])], STEP, LOSS)], refresh=60
    )
    assert "<title>Run 训练</title>" in made
    assert 'id="chinese"' in made
    assert 'http-equiv="refresh" content="60"' in made
    assert MARK in made
    assert not re.search(r"""(src|href)=|url\(|@import|https?://""", made), "nothing from elsewhere"
