"""The report as an HTML page."""

from typing import Any

from taixue.base.charts import bars, flow, histogram, number
from taixue.base.page import cards, document, escape, section, table

from ..passes.contamination import COUNTS, merge_sets


def page(facts: dict[str, Any]) -> str:
    """The page."""
    sections = [
        _cards(facts),
        section("What became of the inputs", _flow(facts["flow"])),
        section("Duplicates", _duplicates(facts["flow"])),
        section("Evaluation sets", _evaluation_sets(facts["flow"])),
        section("Sources", _sources(facts)),
        section("Length of documents", _lengths(facts)),
        section("Languages", _languages(facts)),
        section("Tokens", _fertility(facts)),
        section("Annotation", _annotation(facts["annotation"])),
    ]
    name = escape(facts["corpus"])
    tokenizer = facts["tokenizer"]
    made = f"tokenizer {tokenizer['kind']}, {tokenizer['vocab_size']:,} ids, {escape(tokenizer['library'])}"
    about = f"{name} · {made}, {tokenizer['sha256'][:12]}"
    return document("Corpus report", about, sections, name=facts["corpus"])


def _cards(facts: dict[str, Any]) -> str:
    totals = facts["totals"]
    found = [
        (number(totals["documents"]), "documents"),
        (_bytes(totals["bytes"]), "of text"),
        (number(totals["tokens"]), "tokens"),
        (str(len(facts["sources"])), "sources"),
        (f"{totals['validation']['documents']:,}", "documents held out"),
    ]
    first = [step for step in facts["flow"] if step["step"] == facts["flow"][0]["step"]]
    read = sum(step["bytes"] + step.get("removed_bytes", 0) for step in first)
    if read:
        found.insert(2, (f"{totals['bytes'] / read:.1%}", "of the bytes read were kept"))
    return cards(found)


def _flow(steps: list[dict[str, Any]]) -> str:
    if not steps:
        return "<p class=none>The build left no record of its steps (flow.json).</p>"
    names = list(dict.fromkeys(step["step"] for step in steps))

    def rows(left: str, removed: str) -> list[tuple[str, float, float]]:
        mine = [(name, [step for step in steps if step["step"] == name]) for name in names]
        return [
            (name, sum(step[left] for step in found), sum(step.get(removed, 0) for step in found))
            for name, found in mine
        ]

    out = [
        "<h3>Text left after each step, and what it took</h3>",
        flow(rows("bytes", "removed_bytes"), "B"),
        "<h3>Documents left after each step, and what it took</h3>",
        flow(rows("documents", "removed_documents"), ""),
    ]
    for source in dict.fromkeys(str(step.get("source", "")) for step in steps):
        found = [part for step in steps if str(step.get("source", "")) == source for part in _details(step)]
        if found:
            out += [f"<h3>{escape(source)}, rule by rule</h3>", *found]
    return "".join(out)


def _details(step: dict[str, Any]) -> list[str]:
    details = step.get("details") or {}
    out = []
    if details.get("rejected"):
        out.append(
            f"<p>Lines that were no documents: {details['rejected']:,}, listed in the folder quarantine.</p>"
        )
    for label, name in (("Converted lines", "converted"), ("Masked", "masked")):
        counts = {key: count for key, count in (details.get(name) or {}).items() if count}
        if counts:
            out.append(
                f"<p>{label}: {', '.join(f'{escape(key)} {count:,}' for key, count in counts.items())}</p>"
            )
    for kind, unit in (("lines", "lines"), ("rules", "documents")):
        for name, entry in (details.get(kind) or {}).items():
            if not isinstance(entry, dict) or not entry.get("documents"):
                continue
            samples = "".join(f"<blockquote>{escape(text)}</blockquote>" for text in entry.get("samples", ()))
            size = f", {_bytes(entry['bytes'])}" if entry.get("bytes") else ""
            out.append(
                f"<details><summary>{escape(name)} <small>{entry['documents']:,} {unit}{size}</small></summary>"
                f"{samples or '<p class=none>no example kept</p>'}</details>"
            )
    examples = details.get("samples")
    if isinstance(examples, list):
        out += [f"<blockquote>{escape(str(text))}</blockquote>" for text in examples]
    return out


def _duplicates(steps: list[dict[str, Any]]) -> str:
    mine = [step for step in steps if "duplicate" in step["step"] or "paragraph" in step["step"]]
    rows = [
        [
            escape(step["step"]),
            escape(str(step.get("source", ""))),
            f"{step.get('removed_documents', 0):,}",
            _share(step.get("removed_documents", 0), step["documents"] + step.get("removed_documents", 0)),
            _bytes(step.get("removed_bytes", 0)),
            _share(step.get("removed_bytes", 0), step["bytes"] + step.get("removed_bytes", 0)),
        ]
        for step in mine
    ]
    return table(["kind", "source", "documents", "share", "text", "share"], rows) if rows else ""


def _evaluation_sets(steps: list[dict[str, Any]]) -> str:
    """What decontamination looked for in each set, and the documents it took."""
    sets = merge_sets((step.get("details") or {}).get("evaluation sets", {}) for step in steps)
    rows = [[escape(name), *(f"{entry[count]:,}" for count in COUNTS)] for name, entry in sets.items()]
    return (
        table(["set", *COUNTS], rows)
        + "<p>Texts are looked for by their n-grams; shorter ones as whole clauses or lines, single words as "
        "whole documents; what has no letter is not covered. A document counts for the set that is found first.</p>"
        if rows
        else ""
    )


def _sources(facts: dict[str, Any]) -> str:
    rows = []
    total = facts["totals"]
    for name, source in [*facts["sources"].items(), ("all", total)]:
        rows.append(
            [
                escape(name),
                f"{source['documents']:,}",
                f"{source['validation']['documents']:,}",
                _bytes(source["bytes"]),
                number(source["tokens"]),
                _share(source["tokens"], total["tokens"]),
                str(source["shards"]),
            ]
        )
    return table(
        ["source", "documents", "held out", "text", "tokens", "share", "shards"], rows, bold={len(rows) - 1}
    )


def _lengths(facts: dict[str, Any]) -> str:
    out = []
    for name, source in facts["sources"].items():
        found = source["lengths"]
        out.append(
            f"<h3>{escape(name)}: median {found['median']:,.0f}, mean {found['mean']:,.0f}, longest "
            f"{found['longest']:,} tokens</h3>{histogram(found['edges'], found['counts'], 'tokens')}"
        )
    return "".join(out)


def _languages(facts: dict[str, Any]) -> str:
    kept: dict[str, float] = {}
    for source in facts["sources"].values():
        for name, count in source.get("languages", {}).items():
            kept[name] = kept.get(name, 0) + count
    before: dict[str, float] = {}
    for step in facts["flow"]:
        for name, entry in ((step.get("details") or {}).get("languages") or {}).items():
            before[name] = before.get(name, 0) + entry["documents"]
    out = ""
    if before:
        out += f"<h3>Documents that came to the filters</h3>{bars(_ordered(before))}"
    if any(kept.values()):
        out += f"<h3>Documents of the finished corpus (a sample)</h3>{bars(_ordered(kept), shade='b')}"
    return out


def _fertility(facts: dict[str, Any]) -> str:
    rows = []
    for name, source in facts["sources"].items():
        sampled = "characters_per_token" in source
        rows.append(
            [
                escape(name),
                f"{source['bytes_per_token']:.2f}",
                f"{source['characters_per_token']:.2f}" if sampled else "",
                f"{source['unknown_share']:.3%}" if sampled else "",
                f"{source['vocabulary_used']:,} of {facts['tokenizer']['vocab_size']:,}" if sampled else "",
            ]
        )
    return table(["source", "bytes / token", "characters / token", "unknown", "vocabulary used"], rows)


def _annotation(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    tokens = found["tokens"]
    rows = [
        [
            "words and other units",
            f"{found['units']:,}",
            f"{tokens / max(found['units'], 1):.2f} tokens each",
        ],
        [
            "tokens that reach over a word's edge",
            f"{found['straddling']:,}",
            _share(found["straddling"], tokens),
        ],
        ["entities", f"{found['entities']:,}", f"{_share(found['entity_tokens'], tokens)} of the tokens"],
        [
            "connectives",
            f"{found['connectives']:,}",
            f"{_share(found['connective_tokens'], tokens)} of the tokens",
        ],
        ["pairs of connectives", f"{found['pairs']:,}", ""],
        ["clauses", f"{found['clauses']:,}", f"{tokens / max(found['clauses'], 1):.1f} tokens each"],
        ["sentences", f"{found['sentences']:,}", f"{tokens / max(found['sentences'], 1):.1f} tokens each"],
    ]
    per = {name: 1000 * count / tokens for name, count in found["connective_kinds"].items()}
    entity = {name: 1000 * count / tokens for name, count in found["entity_kinds"].items()}
    pos = {name: 1000 * count / tokens for name, count in list(found["pos_kinds"].items())[:15]}
    made = ", ".join(f"{escape(name)}: {escape(value)}" for name, value in found["made_by"].items())
    return (
        table(["", "found", ""], rows)
        + f"<h3>Connectives per 1,000 tokens, by relation</h3>{bars(per)}"
        + f"<h3>Entities per 1,000 tokens, by type</h3>{bars(entity, shade='b')}"
        + f"<h3>Parts of speech of units per 1,000 tokens, the 15 most frequent</h3>{bars(pos)}"
        + (f"<p class=none>{made}</p>" if made else "")
    )


def _ordered(values: dict[str, float]) -> dict[str, float]:
    return dict(sorted(((k, v) for k, v in values.items() if v), key=lambda item: -item[1]))


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"


def _bytes(value: float) -> str:
    return f"{number(value)}B" if value >= 1e4 else f"{value:,.0f} B"
