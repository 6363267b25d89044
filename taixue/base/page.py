"""Reports as one HTML file that needs nothing else: skeleton, style, sections, cards, tables.

What is given as HTML is put in as it is: callers escape the texts of others.
"""

from collections.abc import Container, Sequence
from html import escape

from . import charts, curves, language
from .language import Text, html

__all__ = ["cards", "document", "escape", "html", "section", "table"]

_COLOURS, _DARK_COLOURS = (
    ";".join(f"--{name}:{value}" for name, value in palette.items())
    for palette in (charts.LIGHT, charts.DARK)
)
_STYLE = (
    f":root{{{_COLOURS}}}@media(prefers-color-scheme:dark){{:root{{{_DARK_COLOURS}}}}}"
    + """
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);
font:15px/1.5 system-ui,"Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif}
main{max-width:960px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0 0 2px}h2{font-size:18px;margin:0 0 12px}
h3{font-size:15px;margin:22px 0 6px}p.sub{color:var(--soft);margin:0 0 20px;overflow-wrap:anywhere}
section{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:18px 20px;margin:16px 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:16px 0}
.card{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:12px 14px}
.card b{display:block;font-size:21px;line-height:1.25}.card span{color:var(--soft);font-size:13px}
.card b span{color:inherit;font-size:inherit}
table{border-collapse:collapse;width:100%;font-size:14px}th{text-align:right;color:var(--soft);font-weight:500}
th:first-child,td:first-child{text-align:left}td{text-align:right;font-variant-numeric:tabular-nums}
td,th{padding:5px 8px;border-bottom:1px solid var(--line)}tr.strong td{font-weight:600}
svg{width:100%;height:auto;display:block}
details{border-top:1px solid var(--line);padding:6px 0}summary{cursor:pointer}summary small{color:var(--soft)}
blockquote{margin:6px 0;padding:6px 10px;border-left:3px solid var(--lost);background:var(--back);font-size:13px;
white-space:pre-wrap;overflow-wrap:anywhere}p.none{color:var(--soft)}
p.warning{border-left:3px solid var(--lost);padding-left:10px}li,summary,h3{overflow-wrap:anywhere}
div.table{overflow-x:auto}td:first-child{overflow-wrap:anywhere;min-width:9em}td{white-space:nowrap}
td:first-child,td.words{white-space:normal}th.words,td.words{text-align:left}
@media(max-width:600px){main{padding:20px 10px 40px}section{padding:14px 12px}
table{font-size:12px}td,th{padding:4px}main svg text{font-size:17px}main svg .tick{font-size:15px}}
"""
)


def document(
    title: Text, about: str, sections: Sequence[str], *, name: str = "", style: str = "", refresh: int = 0
) -> str:
    """A whole page. about: HTML under the heading; name: added to the title of the window; style: more CSS; refresh:
    seconds after which a browser reads it again, 0 for never. Where anything is said in both languages, a switch."""
    window = title if isinstance(title, str) else " ".join(title)
    window = f"{window}: {name}" if name else window
    body = f'<h1>{html(title)}</h1><p class="sub">{about}</p>{"".join(sections)}'
    again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    switch, script = "", ""
    if f'lang="{language.CHINESE}"' in body:
        switch, script = language.SWITCH, language.SCRIPT
    if curves.MARK in body:
        script += curves.SCRIPT
    ending = f"<script>{script}</script>" if script else ""
    styles = _STYLE + charts.STYLE + curves.STYLE + language.STYLE + style
    return (
        f'<!doctype html><html lang="{language.ENGLISH}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{again}'
        f"<title>{escape(window)}</title><style>{styles}</style></head><body><main>"
        f"{switch}{body}</main>{ending}</body></html>\n"
    )


def section(title: str, body: str) -> str:
    """A box with a heading; nothing without a body."""
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def cards(values: Sequence[tuple[str, str]]) -> str:
    """Numbers in large type, each with what it counts."""
    boxes = "".join(f'<div class="card"><b>{value}</b><span>{what}</span></div>' for value, what in values)
    return f'<div class="cards">{boxes}</div>'


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], bold: Container[int] = (), words: Container[int] = ()
) -> str:
    """Cells are HTML. bold: numbers of rows in bold type; words: numbers of columns of words, not numbers, beside the
    first."""
    kinds = [' class="words"' if number in words else "" for number in range(len(head))]
    titles = (f"<th{kind}>{name}</th>" for kind, name in zip(kinds, head, strict=True))
    lines = [f"<tr>{''.join(titles)}</tr>"]
    for number, row in enumerate(rows):
        mark = ' class="strong"' if number in bold else ""
        cells = (f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True))
        lines.append(f"<tr{mark}>{''.join(cells)}</tr>")
    return f'<div class="table"><table>{"".join(lines)}</table></div>'
