"""The report of `taixue masks` as an HTML page."""

from typing import Any

from taixue.base.charts import bars, histogram, number
from taixue.base.page import cards, document, escape, section, table

from .terminal import ROWS

_STYLE = """
.text{line-height:2;overflow-wrap:anywhere}.text mark{color:inherit;border-radius:3px;padding:1px 0}
.text .s0{background:#f6c86a88}.text .s1{background:#7fb8e688}.text .s2{background:#9ccf7a88}
.text u{text-decoration:underline 2px var(--lost);text-underline-offset:4px}
.text i{font-style:normal;border-bottom:2px dotted var(--a)}td:first-child{width:38%}
.key span{margin-right:18px}
"""


def page(facts: dict[str, Any]) -> str:
    """The page."""
    maskers, packing = facts["maskers"], facts["packing"]
    counted = maskers["this run"]
    sections = [
        _cards(counted, packing),
        section("Beside others, on the same text", _comparison(maskers)),
        section("Samples", _samples(facts)),
        section("Length of spans", _lengths(maskers)),
        section("Which tokens are masked", _types(maskers)),
        section("Sources", _sources(facts["sources"])),
        section("What could not be done as asked", _misses(counted, facts)),
        section("Packing", _packing(facts)),
    ]
    name = escape(facts["run"])
    about = f"{escape(facts['objective']['kind'])}, windows of {facts['raw_length']} tokens"
    return document("Masks", f"{name} · {about}", sections, name=facts["run"], style=_STYLE)


def _cards(counted: dict[str, Any], packing: dict[str, float]) -> str:
    found = [
        (f"{counted['mask_rate']:.2%}", "of the tokens masked"),
        (f"{counted['mean_span']:.2f}", "tokens in a span"),
        (f"{packing['filled']:.1%}", "of the positions filled"),
    ]
    if "words_cut" in counted:
        found[2:2] = [
            (f"{counted['entities_in_one_span']:.1%}", "of touched entities in one span"),
            (f"{counted['connectives_masked']:.1%}", "of connectives masked"),
            (f"{counted['words_cut']:.1%}", "of touched words cut"),
        ]
    return cards(found)


def _comparison(maskers: dict[str, dict[str, Any]]) -> str:
    rows = [
        [label, *(_value(key, found[key]) for found in maskers.values())]
        for key, label in ROWS
        if key in maskers["this run"]
    ]
    note = (
        "<p class=none>A unit is touched when one of its tokens is masked. ## rule: whole words as pieces that begin "
        "with ## tell them; Chinese characters never begin so.</p>"
    )
    return table(["", *map(escape, maskers)], rows) + note


def _samples(facts: dict[str, Any]) -> str:
    if not facts["samples"]:
        return ""
    key = (
        "<p class='key none'><span><mark class=s0>masked</mark>, a colour a span</span>"
        "<span><u>entity</u></span><span><i>connective</i></span></p>"
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
            f"<h3>{escape(name)}: mean {found['mean_span']:.2f}</h3>{histogram(edges, counts, 'tokens')}"
        )
    return "".join(out[:2])


def _types(maskers: dict[str, dict[str, Any]]) -> str:
    counted = maskers["this run"]
    if "masked_of_type" not in counted:
        return "<p class=none>The corpus has no annotation.</p>"
    percent = {name: 100 * value for name, value in counted["masked_of_type"].items()}
    plain = {name: 100 * value for name, value in maskers["T5's random spans"]["masked_of_type"].items()}
    return (
        f"<h3>P(masked | type), this run</h3>{bars(percent, ' %')}"
        f"<h3>P(masked | type), T5's random spans</h3>{bars(plain, ' %', shade='b')}"
        f"<h3>Types of the masked tokens, this run</h3>"
        f"{bars({name: 100 * value for name, value in counted['type_of_masked'].items()}, ' %')}"
    )


def _sources(sources: dict[str, dict[str, Any]]) -> str:
    keys = [(key, label) for key, label in ROWS if all(key in found for found in sources.values())]
    rows = [
        [escape(name), f"{found['windows']:,}", *(_value(key, found[key]) for key, _ in keys)]
        for name, found in sources.items()
    ]
    return table(["source", "windows", *(label.split(",")[0] for _, label in keys)], rows)


def _misses(counted: dict[str, Any], facts: dict[str, Any]) -> str:
    fell_back = counted["windows_with_random_spans_instead"]
    rows = [["stretches with random spans, for want of units", f"{fell_back:,}"]]
    for name, count in counted.get("cut_by_window", {}).items():
        total = counted["units"].get(name, 0)
        rows.append([f"{name} units that a window's edge cuts", f"{count:,} of {total:,}"])
    return table(["", "found"], rows)


def _packing(facts: dict[str, Any]) -> str:
    packing = facts["packing"]
    rows = [
        ["positions of an input that hold something", f"{packing['filled']:.2%}"],
        ["the same with one document a window, padded", f"{packing['one_document_a_window']:.2%}"],
        ["tokens of a window", number(facts["raw_length"])],
        *([escape(name), " x ".join(map(str, shape)) or "one"] for name, shape in facts["shapes"].items()),
    ]
    return table(["", ""], rows)


def _value(key: str, value: float) -> str:
    return f"{value:.2f}" if key == "mean_span" else f"{value:.2%}"
