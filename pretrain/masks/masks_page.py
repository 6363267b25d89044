"""The report of `taixue masks` as an HTML page."""

from typing import Any

from taixue.base.charts import bars, histogram, number
from taixue.base.language import Both, Text, html
from taixue.base.page import cards, document, escape, section, table

from .terminal import ROWS

_STYLE = """
.text{line-height:2;overflow-wrap:anywhere}.text mark{color:inherit;border-radius:3px;padding:1px 0}
.text .s0{background:#f6c86a88}.text .s1{background:#7fb8e688}.text .s2{background:#9ccf7a88}
.text u{text-decoration:underline 2px var(--lost);text-underline-offset:4px}
.text i{font-style:normal;border-bottom:2px dotted var(--a)}td:first-child{width:38%}
.key span{margin-right:18px}
"""


_PLAIN = "P(masked | type), T5's random spans"
_TOKENS = Both("tokens", "词元")
_ROWS = {
    "mask_rate": "被掩盖的词元",
    "mean_span": "平均跨度",
    "entities_in_one_span": "在同一跨度内的实体（占被触及者）",
    "entities_masked_whole": "整个被掩盖的实体（占全部）",
    "connectives_masked": "被掩盖的连接词（占全部）",
    "idioms_in_one_span": "在同一跨度内的成语（占被触及者）",
    "words_cut": "被切开的词（占被触及者）",
}
_MASKERS = {"this run": "本次运行", "T5's random spans": "T5 的随机跨度"}


def page(facts: dict[str, Any]) -> str:
    """The page."""
    maskers, packing = facts["maskers"], facts["packing"]
    counted = maskers["this run"]
    sections = [
        _cards(counted, packing),
        section(
            html(Both("Beside others, on the same text", "与别的做法在同一文本上对照")), _comparison(maskers)
        ),
        section(html(Both("Samples", "样本")), _samples(facts)),
        section(html(Both("Length of spans", "跨度长度")), _lengths(maskers)),
        section(html(Both("Which tokens are masked", "掩盖了哪些词元")), _types(maskers)),
        section(html(Both("Sources", "来源")), _sources(facts["sources"])),
        section(html(Both("What could not be done as asked", "未能按要求完成的")), _misses(counted, facts)),
        section(html(Both("Packing", "打包")), _packing(facts)),
    ]
    name = escape(facts["run"])
    length = facts["raw_length"]
    windows = html(Both(f"windows of {length} tokens", f"每个窗口 {length} 个词元"))
    about = f"{escape(facts['objective']['kind'])}, {windows}"
    return document(Both("Masks", "掩盖"), f"{name} · {about}", sections, name=facts["run"], style=_STYLE)


def _cards(counted: dict[str, Any], packing: dict[str, float]) -> str:
    found = [
        (f"{counted['mask_rate']:.2%}", Both("of the tokens masked", "的词元被掩盖")),
        (f"{counted['mean_span']:.2f}", Both("tokens in a span", "个词元一个跨度")),
        (f"{packing['filled']:.1%}", Both("of the positions filled", "的位置被填满")),
    ]
    if "words_cut" in counted:
        found[2:2] = [
            (
                f"{counted['entities_in_one_span']:.1%}",
                Both("of touched entities in one span", "被触及的实体在同一跨度内"),
            ),
            (f"{counted['connectives_masked']:.1%}", Both("of connectives masked", "的连接词被掩盖")),
            (f"{counted['words_cut']:.1%}", Both("of touched words cut", "被触及的词被切开")),
        ]
    return cards([(value, html(what)) for value, what in found])


def _masker(name: str) -> str:
    return html(Both(name, _MASKERS[name]) if name in _MASKERS else name)


def _row(key: str, label: str) -> Text:
    return Both(label, _ROWS[key])


def _comparison(maskers: dict[str, dict[str, Any]]) -> str:
    rows = [
        [html(_row(key, label)), *(_value(key, found[key]) for found in maskers.values())]
        for key, label in ROWS
        if key in maskers["this run"]
    ]
    note = Both(
        "A unit is touched when one of its tokens is masked. ## rule: whole words as pieces that begin with ## tell "
        "them; Chinese characters never begin so.",
        "单元中有一个词元被掩盖即为被触及。## 规则：按以 ## 开头的片段判断整词；汉字从不以此开头。",
    )
    return table(["", *map(_masker, maskers)], rows) + f"<p class=none>{html(note)}</p>"


def _samples(facts: dict[str, Any]) -> str:
    if not facts["samples"]:
        return ""
    masked, colours = html(Both("masked", "被掩盖")), html(Both(", a colour a span", "，每个跨度一种颜色"))
    entity, connective = html(Both("entity", "实体")), html(Both("connective", "连接词"))
    key = (
        f"<p class='key none'><span><mark class=s0>{masked}</mark>{colours}</span>"
        f"<span><u>{entity}</u></span><span><i>{connective}</i></span></p>"
    )
    return f"<div class=text>{key}{''.join(f'<p>{_text(sample)}</p>' for sample in facts['samples'])}</div>"


def _text(sample: list[dict[str, Any]]) -> str:
    out, colour, previous = [], 0, 0
    for entry in sample:
        piece = escape(entry["piece"])
        if entry.get("entity"):
            piece = f"<u>{piece}</u>"
        elif entry.get("connective"):
            piece = f"<i>{piece}</i>"
        if entry["span"]:
            colour += entry["span"] != previous
            piece = f"<mark class=s{colour % 3}>{piece}</mark>"
        previous = entry["span"]
        out.append(piece)
    return "".join(out)


def _lengths(maskers: dict[str, dict[str, Any]]) -> str:
    out = []
    for name, found in maskers.items():
        counts = found["span_lengths"][1:]
        edges = list(range(1, len(counts) + 1))
        out.append(
            f"<h3>{_masker(name)}: {html(Both('mean', '平均'))} {found['mean_span']:.2f}</h3>"
            f"{histogram(edges, counts, _TOKENS)}"
        )
    return "".join(out[:2])


def _types(maskers: dict[str, dict[str, Any]]) -> str:
    counted = maskers["this run"]
    if "masked_of_type" not in counted:
        return f"<p class=none>{html(Both('The corpus has no annotation.', '语料没有标注。'))}</p>"
    percent = {name: 100 * value for name, value in counted["masked_of_type"].items()}
    plain = {name: 100 * value for name, value in maskers["T5's random spans"]["masked_of_type"].items()}
    return (
        f"<h3>{html(Both('P(masked | type), this run', 'P(被掩盖 | 类型)，本次运行'))}</h3>{bars(percent, ' %')}"
        f"<h3>{html(Both(_PLAIN, 'P(被掩盖 | 类型)，T5 的随机跨度'))}</h3>{bars(plain, ' %', shade='b')}"
        f"<h3>{html(Both('Types of the masked tokens, this run', '被掩盖词元的类型，本次运行'))}</h3>"
        f"{bars({name: 100 * value for name, value in counted['type_of_masked'].items()}, ' %')}"
    )


def _sources(sources: dict[str, dict[str, Any]]) -> str:
    keys = [(key, label) for key, label in ROWS if all(key in found for found in sources.values())]
    rows = [
        [escape(name), f"{found['windows']:,}", *(_value(key, found[key]) for key, _ in keys)]
        for name, found in sources.items()
    ]
    head = [Both("source", "来源"), Both("windows", "窗口")]
    head += [Both(label.split(",")[0], _ROWS[key].split("（")[0]) for key, label in keys]
    return table([*map(html, head)], rows)


def _misses(counted: dict[str, Any], facts: dict[str, Any]) -> str:
    fell_back = counted["windows_with_random_spans_instead"]
    instead = Both("stretches with random spans, for want of units", "因缺少单元而用随机跨度的片段")
    rows = [[html(instead), f"{fell_back:,}"]]
    for name, count in counted.get("cut_by_window", {}).items():
        total = counted["units"].get(name, 0)
        cut = Both(f"{name} units that a window's edge cuts", f"被窗口边缘切开的 {name} 单元")
        rows.append([html(cut), f"{count:,} / {total:,}"])
    return table(["", html(Both("found", "数量"))], rows)


def _packing(facts: dict[str, Any]) -> str:
    packing = facts["packing"]
    rows = [
        [
            html(Both("positions of an input that hold something", "输入中有内容的位置")),
            f"{packing['filled']:.2%}",
        ],
        [
            html(Both("the same with one document a window, padded", "每个窗口一个文档并填充时")),
            f"{packing['one_document_a_window']:.2%}",
        ],
        [html(Both("tokens of a window", "窗口的词元数")), number(facts["raw_length"])],
        *([escape(name), " x ".join(map(str, shape)) or "one"] for name, shape in facts["shapes"].items()),
    ]
    return table(["", ""], rows)


def _value(key: str, value: float) -> str:
    return f"{value:.2f}" if key == "mean_span" else f"{value:.2%}"
