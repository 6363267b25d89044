"""Remnants of HTML: tags go, and nothing goes that only looks like one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue.data_tools import native
from taixue.data_tools.native import NormalizeRules

from .conftest import plain

RULES = NormalizeRules(nfkc=False, control=False, whitespace=False, html=True)

KEPT = """
若 x<a 且 y>b，则成立
若 0<p 且 p>q
#include <map>
#include <map>\nstd::map<int, a> b; // a<b
vector<b> c; List<Object> list; Map<Label, Button> 表
if (a<b && c>d) return x<i>y;
当 a<b<c 且 d>e
a < b > c
<extra_id_0> <pad> <s> 1<2>0
i<-3 <= 4 <3 <中文> <1> </ > <!> <?> <>
<x-y> <o:p> <iostream> <vector> <T>
<a 且 b> <b c> <i href> <time 1> <a b=c d>
<a href=> <a href="> <a href='x>
<?php echo 1; ?>
<!-- 没有结束
</extra_id_0>
List<Section> 的 <header> 与 <main>
""".strip().split("\n")

REMOVED = {
    "<p>一</p>": "\n一\n",
    "<P CLASS='x'>一": "\n一",
    "一<br>二<br/>三<BR />四": "一\n二\n三\n四",
    "<b>粗</b>与<i>斜</i>": "粗与斜",
    "<strong>没有结束": "没有结束",
    "<map name=m>图</map>": "图",
    "<map>图</map> #include <map>": "图 #include <map>",
    '<a href="http://a.cn/?b=<c>&d" target=_blank>链</a>': "链",
    "<a\nhref='x'title=\"y>z\">链": "链",
    f'图<img src="data:image/png;base64,{"A" * 9000}"/>像': "图像",
    "<input disabled>": "",
    "<option selected>甲<option value=1>乙": "\n甲\n乙",
    "一</span></div>": "一\n",
    "<!DOCTYPE html PUBLIC \"-//W3C\"><?xml version='1.0'?>一<!-- <p> -->": "一",
    "<table><tr><td>一<td>二</table>": "\n\n\n一\n二\n",
    "&lt;b&gt;&amp;lt;&nbsp;&#20013;&bogus;&amp": "<b>&lt;\xa0中&bogus;&amp",
}


def _both(text: str) -> str:
    (made,) = native.strings(native.normalize([text], RULES))
    with plain():
        assert native.normalize([text], RULES) == [made]
    return made


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_tag_stays(text: str) -> None:
    assert _both(text) == text


@pytest.mark.parametrize(("text", "expected"), REMOVED.items())
def test_what_is_a_tag_goes(text: str, expected: str) -> None:
    assert _both(text) == expected


_PARTS = """
< > </ /> <! <!-- --> <!DOCTYPE <?xml <a <b <p <br <div <map <img <Object </a </b> </map> </P>
a b x 且 y map href disabled OPEN @ : - _ . = == " ' ` / & &amp; &#1 中
href="x" href='>' title=a>b class= ="" x=1 ="x"y='z' <i> </i> <u>
"""
_SPACES = [" ", " ", "\n", "\t", "\f", "\v"]


@given(st.lists(st.sampled_from(_PARTS.split() + _SPACES), max_size=40))
@settings(max_examples=400, deadline=None)
def test_twins_agree_on_what_looks_like_tags(parts: list[str]) -> None:
    _both("".join(parts))


def test_limits() -> None:
    """Of names, values and attributes: the same in both."""
    for count in (16, 17, 16_383, 16_384, 16_385):
        for start in ("<", "</", "<a x=", '<a x="', "<a ", "<!DOCTYPE "):
            for end in (">", '">', "=1>"):
                _both(start + "b" * count + end + "一")
    for count in (63, 64, 65, 66):
        assert (_both("<a" + " x=1" * count + ">") == "") == (count <= 64)
        assert (_both(f"<a {'x' * count}=1>") == "") == (count <= 64)


def test_much_that_never_ends_takes_no_time() -> None:
    for part in ("<!--", "<b>", "<a x='", "<a x=1 ", "&", "<!DOCTYPE ", "</b"):
        text = part * (2_000_000 // len(part))
        assert native.strings(native.normalize([text], RULES)) == [text]
