"""Twenty web pages of the usual kinds, made of the sample's text, each with the text that an extractor should find.

Around the text is what pages have around it: menus, lists of other articles, adverts, share buttons, comments (which
are not wanted), footers. Markup follows the habits of Chinese sites: tables and font tags of the 2000s, soups of div,
br for paragraphs, &nbsp; for indents, GBK.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from itertools import count

import orjson

_MENU = ("首页", "新闻", "财经", "体育", "娱乐", "科技", "汽车", "房产", "论坛", "登录", "注册")
_FOOT = (
    "关于我们 | 联系我们 | 广告服务 | 招聘信息 | 网站地图 | 版权声明",
    "Copyright © 2009-2024 某某网 版权所有 未经授权禁止转载 京ICP备00000000号",
)
_OTHERS = (
    "十大旅游城市排名出炉，第一名你猜到了吗",
    "今晚油价调整，加满一箱多花八元",
    "这五种食物不能放冰箱，很多人都做错了",
    "高考倒计时一百天，家长应该注意什么",
    "最新手机评测：三千元档怎么选",
    "专家提醒：换季时节注意防护",
)
_COMMENTS = ("沙发！说得太好了", "顶楼主，学习了，已收藏", "不同意，作者没有去过吧", "求原图，谢谢分享")


@dataclass(frozen=True)
class Page:
    """What a crawler stored, in an encoding, and the lines of text that should be found in it."""

    name: str
    content: bytes
    encoding: str
    wanted: str


def pages() -> list[Page]:
    """The same ones each time."""
    paragraphs = _paragraphs()
    out = []
    for name, make in _KINDS.items():
        encoding = "gb18030" if "gbk" in name else "utf-8"
        take = [next(paragraphs) for _ in range(6)]
        title = _title(take[0])
        body, wanted = make(title, take)
        charset = "gbk" if encoding == "gb18030" else "utf-8"
        page = f'<html><head><meta charset="{charset}"><title>{title}_某某网</title>{_SCRIPT}</head>{body}</html>'
        out.append(Page(name, page.encode(encoding), encoding, "\n".join(wanted)))
    return out


def _paragraphs() -> Iterator[str]:
    """Of the sample's documents, without end."""
    folder = files("taixue.data_tools") / "sample"
    found = []
    for file in sorted(folder.iterdir(), key=str):
        if file.name.endswith(".jsonl"):
            for line in file.read_text("utf-8").splitlines():
                found += orjson.loads(line)["text"].split("\n")
    return (found[k * 7 % len(found)] for k in count())


def _title(text: str) -> str:
    return text[:14].rstrip("，。、：；")


_SCRIPT = '<style>.ad{display:none}</style><script>var a = "<p>不要这一段</p>"; if (a < 1) { b(); }</script>'
Made = tuple[str, list[str]]


def _p(texts: list[str], **attributes: str) -> str:
    extra = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return "".join(f"<p{extra}>{escape(text)}</p>\n" for text in texts)


def _links(texts: tuple[str, ...], around: str = "li") -> str:
    return "".join(f'<{around}><a href="/a/{k}.html">{text}</a></{around}>' for k, text in enumerate(texts))


def _modern(main: str, aside: str = "") -> str:
    return (
        f'<body><header><a href="/"><img src="logo.png" alt="某某网"></a><nav><ul>{_links(_MENU)}</ul></nav></header>'
        f"<main>{main}</main><aside><h3>热门文章</h3><ul>{_links(_OTHERS)}</ul>{aside}</aside>"
        f"<footer>{''.join(f'<p>{line}</p>' for line in _FOOT)}</footer></body>"
    )


def _divs(main: str, name: str = "content") -> str:
    return (
        f'<body><div class="top"><div class="nav">{_links(_MENU, "span")}</div></div><div class="wrap">'
        f'<div class="left"><div class="crumb">您的位置：<a href="/">首页</a> &gt; '
        f'<a href="/n">新闻</a> &gt; 正文</div>'
        f'<div class="{name}">{main}</div><div class="share">分享到：微信 微博 QQ空间</div>'
        f'<div class="related"><h4>相关阅读</h4><ul>{_links(_OTHERS[:4])}</ul></div></div>'
        f'<div class="right"><div class="ad">广告：全场五折，点击购买</div><ul>{_links(_OTHERS)}</ul></div></div>'
        f'<div class="footer">{"<br>".join(_FOOT)}</div></body>'
    )


def _tables(main: str) -> str:
    menu = "".join(
        f'<td><a href="{k}.asp"><font color=white>{text}</font></a></td>' for k, text in enumerate(_MENU)
    )
    others = "".join(f"<tr><td>·{_links((text,), 'font')}" for text in _OTHERS)
    return (
        f"<body bgcolor=#ffffff><table width=760><tr bgcolor=blue>{menu}</tr></table><table width=760><tr>"
        f"<td width=160 valign=top><table>{others}</table>"
        f"</td><td width=600>{main}</td></tr></table><center><font size=2>{'<br>'.join(_FOOT)}</font></center></body>"
    )


def _comments(around: str = "div") -> str:
    items = "".join(
        f'<{around} class="comment"><span>网友{k}</span> <time>2024-05-0{k + 1}</time><p>{text}</p></{around}>'
        for k, text in enumerate(_COMMENTS)
    )
    return f'<section class="comments" id="comments"><h3>评论（{len(_COMMENTS)}）</h3>{items}</section>'


def _news(title: str, t: list[str]) -> Made:
    main = (
        f'<article><h1>{title}</h1><p class="meta">2024年5月1日 来源：某某网 编辑：小王</p>{_p(t[:4])}'
        f"<figure><img src=1.jpg><figcaption>图为现场</figcaption></figure>{_p(t[4:])}</article>"
    )
    return _modern(main), [title, *t]


def _news_tables(title: str, t: list[str]) -> Made:
    text = "<br><br>".join(f"&nbsp;&nbsp;&nbsp;&nbsp;{escape(one)}" for one in t[:5])
    return _tables(f"<h2 align=center>{title}</h2><hr><font size=3>{text}</font>"), [title, *t[:5]]


def _news_divs(title: str, t: list[str]) -> Made:
    spans = "".join(f'<div><span style="font-size:16px">{escape(one)}</span></div>' for one in t)
    return _divs(f'<h1>{title}</h1><div class="info">2024-05-01 08:30 阅读 1024</div>{spans}'), [title, *t]


def _forum(title: str, t: list[str]) -> Made:
    posts = "".join(
        f'<div class="post" id="post_{k}"><div class="author"><a href="u{k}">网友{k}号</a><p>注册会员 积分 {k * 37}</p>'
        f'</div><div class="postmessage">{escape(one)}</div><div class="op">回复 | 举报 | {k + 1}楼</div></div>'
        for k, one in enumerate(t)
    )
    return _divs(f"<h1>{title}</h1>{posts}", "threadlist"), [title, *t]


def _forum_tables(title: str, t: list[str]) -> Made:
    posts = "".join(
        f"<table border=1 width=100%><tr><td width=120>用户{k}<br>等级：新手</td><td>{escape(one)}<br><br>"
        f"<a href=r>回复</a> <a href=q>引用</a></td></tr></table>"
        for k, one in enumerate(t)
    )
    return _tables(f"<b>主题：{title}</b>{posts}"), [f"主题：{title}", *t]


def _blog(title: str, t: list[str]) -> Made:
    main = (
        f'<div class="post"><h2 class="post-title">{title}</h2><div class="entry-content">{_p(t[:2])}'
        f"<h3>{_title(t[2])}</h3>{_p(t[2:4])}<blockquote><p>{escape(t[4])}</p></blockquote>{_p(t[5:])}</div>"
        f'<div class="tags">标签：<a>生活</a> <a>随笔</a></div></div>{_comments()}'
    )
    return _modern(main, "<h3>归档</h3><ul><li>2024年5月</li><li>2024年4月</li></ul>"), [
        title,
        *t[:2],
        _title(t[2]),
        *t[2:],
    ]


_CODE = (
    "#include <map>",
    "int main() {",
    "    std::map<int, int> a;",
    "    return a[1] < 2 && a[2] > 1;",
    "}",
)


def _code(title: str, t: list[str]) -> Made:
    code = escape("\n".join(_CODE))
    main = (
        f"<article><h1>{title}</h1>{_p(t[:2])}<pre><code>{code}</code></pre>{_p(t[2:3])}"
        f"<p>用 <code>a &lt; b</code> 比较。</p>{_p(t[3:4])}</article>{_comments('li')}"
    )
    return _modern(main), [title, *t[:2], *_CODE, t[2], "用 a < b 比较。", t[3]]


def _shop(title: str, t: list[str]) -> Made:
    rows = (("品牌", "某某"), ("重量", "1.2 千克"), ("产地", "浙江杭州"), ("保质期", "十二个月"))
    table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    main = (
        f'<div class="gallery"><img src=1.jpg><img src=2.jpg></div><h1>{title}</h1><div class="price">¥ 199.00 '
        f'<button>加入购物车</button> <button>立即购买</button></div><div class="detail"><table>{table}</table>'
        f'{_p(t[:3])}</div><div class="recommend"><h3>猜你喜欢</h3><ul>{_links(_OTHERS)}</ul></div>'
    )
    return _divs(main, "product"), [title, *(f"{name} {value}" for name, value in rows), *t[:3]]


def _list(title: str, t: list[str]) -> Made:
    items = "".join(
        f'<li><h3><a href="/{k}">{_title(one)}</a></h3><p class="summary">{escape(one)}</p>'
        f"<span>05-0{k + 1}</span></li>"
        for k, one in enumerate(t)
    )
    return _divs(f'<ul class="list">{items}</ul><div class="page">上一页 1 2 3 下一页</div>', "main"), [
        line for one in t for line in (_title(one), one)
    ]


def _table(title: str, t: list[str]) -> Made:
    rows = [
        ("年份", "产量", "增长"),
        ("2021", "6.83 亿吨", "2.0%"),
        ("2022", "6.87 亿吨", "0.5%"),
        ("2023", "6.95 亿吨", "1.3%"),
    ]
    table = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    main = f"<article><h1>{title}</h1>{_p(t[:2])}<table border=1>{table}</table>{_p(t[2:4])}</article>"
    return _modern(main), [title, *t[:2], *(" ".join(row) for row in rows), *t[2:4]]


def _question(title: str, t: list[str]) -> Made:
    answers = "".join(
        f'<div class="answer"><div class="user">答主{k}</div><div class="text"><p>{escape(one)}</p></div>'
        f"<div>赞同 {k * 12} · 收藏 · 分享</div></div>"
        for k, one in enumerate(t[1:5])
    )
    return _modern(f'<h1>{title}？</h1><div class="question"><p>{escape(t[0])}</p></div>{answers}'), [
        f"{title}？",
        *t[:5],
    ]


def _encyclopedia(title: str, t: list[str]) -> Made:
    heads = ("历史", "地理", "文化")
    parts = "".join(
        f"<h2>{head}<span>[编辑]</span></h2>{_p([one])}" for head, one in zip(heads, t[2:], strict=False)
    )
    main = (
        f'<h1>{title}</h1><div class="toc"><h2>目录</h2><ol>{_links(heads)}</ol></div>{_p(t[:2])}{parts}'
        f'<div class="reflist"><ol><li>^ 某某年鉴，2020年，第3页</li></ol></div>'
        f'<div class="catlinks">分类：地名 | 城市</div>'
    )
    return _divs(main, "mw-parser-output"), [
        title,
        *t[:2],
        *(x for pair in zip(heads, t[2:], strict=False) for x in pair),
    ]


def _notice(title: str, t: list[str]) -> Made:
    text = "因线路检修，五月八日九时至十七时停电，请各住户做好准备。"
    return _divs(f"<h1>停电通知</h1><p>{text}</p><p>某某物业</p>"), ["停电通知", text, "某某物业"]


def _government(title: str, t: list[str]) -> Made:
    body = "".join(f'<p style="text-indent:2em">&nbsp;&nbsp;&nbsp;&nbsp;{escape(one)}</p>' for one in t[:4])
    main = f'<div id="zoom"><p align="center"><strong>{title}</strong></p>{body}'
    main += '<p align="right">某某市人民政府</p></div>'
    return _divs(f"<div>索引号：000014 发文日期：2024年</div>{main}", "TRS_Editor"), [
        title,
        *t[:4],
        "某某市人民政府",
    ]


def _novel(title: str, t: list[str]) -> Made:
    body = "<br/>\n<br/>\n".join(f"　　{escape(one)}" for one in t)
    turn = "<div>上一章 ← 目录 → 下一章</div>"
    main = f'<h1>第一章 {title}</h1>{turn}<div id="content">{body}</div>{turn}'
    return _divs(main, "bookname"), [f"第一章 {title}", *t]


def _recipe(title: str, t: list[str]) -> Made:
    foods, steps = ("鸡蛋三个", "西红柿两个", "小葱一根"), [one[:40] for one in t[1:5]]
    main = (
        f"<h1>{title}的做法</h1>{_p(t[:1])}<h2>用料</h2><ul>{''.join(f'<li>{one}</li>' for one in foods)}</ul>"
        f"<h2>步骤</h2><ol>{''.join(f'<li>{escape(one)}</li>' for one in steps)}</ol>"
    )
    return _modern(main), [f"{title}的做法", t[0], "用料", *foods, "步骤", *steps]


def _english(title: str, t: list[str]) -> Made:
    texts = [
        "The old town lies on a hill above the river, and its walls have not changed since the fifteenth century.",
        "Every autumn, merchants from the coast came with salt and fish, and went home with cloth & wool.",
        "Today the market is quiet on most days, but the town hall keeps the ledgers of five hundred years.",
    ]
    return _modern(f"<article><h1>A town and its ledgers</h1><p>By A. Writer</p>{_p(texts)}</article>"), [
        "A town and its ledgers",
        *texts,
    ]


def _hidden(title: str, t: list[str]) -> Made:
    main = (
        f'<div style="display:none">隐藏的推广文字，不应出现</div><div class="modal" hidden>请先登录后阅读全文</div>'
        f'<article><h1>{title}</h1>{_p(t)}</article><noscript>请开启脚本</noscript><div id="cookie-banner">本站使用 '
        f"Cookie 改善体验 <button>同意</button></div>"
    )
    return _modern(main), [title, *t]


def _comments_page(title: str, t: list[str]) -> Made:
    return _divs(f'<h1>{title}</h1><div class="article-body">{_p(t[:4])}</div>{_comments()}'), [title, *t[:4]]


_KINDS: dict[str, Callable[[str, list[str]], Made]] = {
    "news": _news,
    "news, tables and fonts": _news_tables,
    "news, divs": _news_divs,
    "news, gbk": _news,
    "news, tables, gbk": _news_tables,
    "forum": _forum,
    "forum, tables": _forum_tables,
    "blog": _blog,
    "blog with code": _code,
    "comments": _comments_page,
    "shop": _shop,
    "list": _list,
    "table": _table,
    "question": _question,
    "encyclopedia": _encyclopedia,
    "short notice": _notice,
    "government": _government,
    "novel": _novel,
    "recipe": _recipe,
    "english": _english,
    "hidden parts": _hidden,
}
