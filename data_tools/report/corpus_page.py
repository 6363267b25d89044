"""The report as an HTML page."""

from collections.abc import Iterator
from typing import Any

from taixue.base.charts import bars, flow, histogram, number
from taixue.base.page import cards, document, escape, section, table

from ..passes.contamination import COUNTS, merge_sets


def page(facts: dict[str, Any]) -> str:
    """The page."""
    sections = [
        _cards(facts),
        section("What became of the inputs", _flow(facts["flow"])),
        section("Source by source, rule by rule", _by_source(facts["flow"])),
        section("Evaluation sets", _evaluation_sets(facts["flow"])),
        section("What was not read", _not_read(facts)),
        section("Sources", _sources(facts)),
        section("Length of documents", _lengths(facts)),
        section("Languages", _languages(facts)),
        section("Tokens", _fertility(facts)),
        section("Annotation", _annotation(facts["annotation"])),
    ]
    name = escape(facts["corpus"])
    about = [name]
    if tokenizer := facts["tokenizer"]:
        made = (
            f"tokenizer {tokenizer['kind']}, {tokenizer['vocab_size']:,} ids, {escape(tokenizer['library'])}"
        )
        about.append(f"{made}, {tokenizer['sha256'][:12]}")
    if unfinished := facts["unfinished"]:
        about.append(
            f"<b>the build is not finished: {unfinished['shards']:,} of {unfinished['of']:,} input shards are; what "
            "follows counts what is made so far</b>"
        )
    return document("Corpus report", " · ".join(about), sections, name=facts["corpus"])


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
    if read and not facts["unfinished"]:
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
    return "".join(out)


def _by_source(steps: list[dict[str, Any]]) -> str:
    """Of each source, what every step and rule took, and examples."""
    out = []
    for source in dict.fromkeys(step["source"] for step in steps):
        mine = [step for step in steps if step["source"] == source]
        out += [
            f"<h3>{escape(source)}: {mine[0]['documents']:,} documents, {_bytes(mine[0]['bytes'])} read</h3>",
            table(["", "documents", "of those read", "text", "of that read"], [*_takers(mine)]),
            *(part for step in mine for part in _details(step)),
        ]
    return "".join(out)


def _takers(steps: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Rows of a table: what each step took of a source, its rules one by one; and what is left."""
    read = steps[0]

    def row(name: str, documents: int, size: int) -> list[str]:
        return [
            escape(name),
            f"{documents:,}",
            _share(documents, read["documents"]),
            _bytes(size),
            _share(size, read["bytes"]),
        ]

    for step in steps[1:]:
        rules = (step.get("details") or {}).get("rules") or {}
        if step["removed_documents"] or step["removed_bytes"]:
            yield row(step["step"], step["removed_documents"], step["removed_bytes"])
        for name, entry in rules.items():
            if entry["documents"]:
                yield row(f"· {name}", entry["documents"], entry["bytes"])
    yield row("in shards", steps[-1]["documents"], steps[-1]["bytes"])


def _not_read(facts: dict[str, Any]) -> str:
    """Files that were passed over, and lines in quarantine."""
    passed = [
        [
            escape(", ".join(entry["first"])) + (", …" if entry["files"] > len(entry["first"]) else ""),
            escape(entry["source"]),
            escape(entry["reason"]),
            f"{entry['files']:,}",
        ]
        for entry in facts["not_read"]
    ]
    rejected = [
        [
            escape(entry["path"]),
            escape(entry["source"]),
            escape(entry["reason"]),
            f"{entry['lines']:,}",
            f"{entry['first']:,}",
        ]
        for entry in facts["rejected"]
    ]
    out = []
    if passed:
        out += ["<h3>Files</h3>", table(["", "source", "reason", "files"], passed)]
    if rejected:
        out += [
            "<h3>Lines in the folder quarantine, by file and reason</h3>",
            table(["file", "source", "reason", "lines", "first line"], rejected),
        ]
    return "".join(out)


def _details(step: dict[str, Any]) -> list[str]:
    details = step.get("details") or {}
    out = []
    for kind, entry in (details.get("encodings") or {}).items():
        named = "".join(f"<li>{escape(path)}</li>" for path in entry["first"])
        what = f"{entry['files']:,} files with lines in {escape(kind)}"
        out.append(f"<details><summary>{what}</summary><ul>{named}</ul></details>")
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
    head = ["source", "bytes / token", "characters / token", "unknown", "vocabulary used"]
    return table(head, rows) if rows else ""


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
