"""Texts that provoke: what the functions look for, in pieces, and any Unicode at all."""

from hypothesis import strategies as st

_WORDS = """
中 国 人 的 我们 北京 天气 很好 華 國 龍 々 〇 한국 か゛ カ ｶﾞ ガ é e\u0301 ñ Ａ ｂ １ ① ㎡ ﬁ … …… ～ ， 。 ！？
“ ” 「 」 （ ） 、 ； ： . .. ... , ; : ! ? ' " ( ) [ ] - * • # < > & / \\ _ @ = + % ~ a b xyz The Hello 1 22 3.5 1,000
"""
_PERSONAL = """
13812345678 138-1234-5678 138 1381234567 +86-13912345678 11010519491231002X 110105194912310021 123456789012345678
6222021234567890123 4111111111111111 6228480402564890018 5555555555554444 010 010-12345678 0755-1234567-12
（010）12345678 (021) 87654321 192.168.1.1 256.1.1.1 1.2.3.4.5 0.0.0.0 01.2.3.4 http://a.cn/b?c=d&e=f. https://x.com/（测试）
www.taixue.org, HTTP://A.B ftp://z a@b.cn user.name+tag@mail.example.com x@y a@b..c a@b.c1 a@b.com.123 @ b@c-d.org
86 +86 0 00
"""
_HTML = """
<p> </p> <br/> <BR > <a\thref="x"> <b <extra_id_0> <!-- c --> <!-- <script> <x- <1> &amp; &lt; &nbsp; &#65; &#x4e2d;
&#128; &#0; &#9999999; &#xFFFFFFF; &bogus; &amp &; &NotEqualTilde; &notin
"""
_PIECES = [*_WORDS.split(), *_PERSONAL.split(), *_HTML.split(" "), "+86 138 1234 5678", '<img src="a b">']
_SPACES = [
    "",
    "",
    "",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    "\u3000",
    "\xa0",
    "\u2028",
    "\x0b",
    "\x85",
    "\r",
    "\u200b",
    "\ufeff",
    "\x00",
    "\x1f",
    "\ufffe",
]

pieces = st.sampled_from(_PIECES)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
provoking = st.lists(st.tuples(pieces | any_text, st.sampled_from(_SPACES)), max_size=25).map(
    lambda parts: "".join(piece + space for piece, space in parts)
)
# Few different characters, so that things repeat.
repeating = st.text("ab中国。\n 1", max_size=120)
texts = st.lists(provoking | repeating | any_text, max_size=6)
