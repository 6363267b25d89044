"""The report as an HTML page."""

from collections.abc import Iterable, Iterator
from typing import Any

from taixue.base.charts import amount, bars, counted, flow, histogram, number
from taixue.base.page import cards, document, escape, section, table

from ..build import inputs
from ..build.outline import STEPS
from ..passes.contamination import WAYS, merge_sets, summary


def page(facts: dict[str, Any]) -> str:
    """The page."""
    sections = [
        _cards(facts),
        section("What became of the inputs", _flow(facts["flow"])),
        section("Source by source, rule by rule", _by_source(facts["flow"], facts["empty"])),
        section("Near copies", _near_copies(facts)),
        section("Evaluation sets", _evaluation_sets(facts["flow"])),
        section("What was not read", _not_read(facts)),
        section("Sources", _sources(facts)),
        section("Length of documents", _lengths(facts)),
        section("Languages", _languages(facts)),
        section("Tokens", _fertility(facts)),
        section("Annotation", _annotation(facts["annotation"])),
        section("Annotation by other tools", _external(facts["external"])),
    ]
    name = escape(facts["corpus"])
    about = [name]
    if tokenizer := facts["tokenizer"]:
        made = (
            f"tokenizer {tokenizer['kind']}, {tokenizer['vocab_size']:,} ids, {escape(tokenizer['library'])}"
        )
        about.append(f"{made}, {tokenizer['sha256'][:12]}")
    if facts["extractor"]:
        about.append(f"text of HTML pages by {escape(facts['extractor'])}")
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
        (str(len(facts["sources"])), "source" if len(facts["sources"]) == 1 else "sources"),
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
    names = [name for name in STEPS if any(step["step"] == name for step in steps)]
    by_source: dict[str, dict[str, dict[str, Any]]] = {}
    for step in steps:
        by_source.setdefault(step["source"], {})[step["step"]] = step

    def rows(left: str, removed: str) -> Iterator[tuple[str, float, float]]:
        has = dict.fromkeys(by_source, 0)
        for name in names:
            found = {source: own[name] for source, own in by_source.items() if name in own}
            has |= {source: step[left] for source, step in found.items()}
            yield name, sum(has.values()), sum(step[removed] for step in found.values())

    out = [
        "<h3>Text left after each step, and what it took</h3>",
        flow([*rows("bytes", "removed_bytes")], "B"),
        "<h3>Documents left after each step, and what it took</h3>",
        flow([*rows("documents", "removed_documents")], ""),
    ]
    return "".join(out)


def _by_source(steps: list[dict[str, Any]], empty: dict[str, str]) -> str:
    """Of each source, what every step and rule took, and examples. empty: why nothing of a source is left."""
    out = []
    for source in dict.fromkeys(step["source"] for step in steps):
        mine = [step for step in steps if step["source"] == source]
        rows = [*_takers(mine)]
        out += [
            f"<h3>{escape(source)}: {counted(mine[0]['documents'], 'document')}, {_bytes(mine[0]['bytes'])} read</h3>",
            *(
                [f"<p class=warning>The source is empty: {escape(empty[source])}.</p>"]
                if source in empty
                else []
            ),
            table(["", "documents", "of those read", "text", "of that read"], rows, bold={len(rows) - 1}),
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
        out += ["<h3>Files</h3>", table(["", "source", "reason", "files"], passed, words={1, 2})]
    if rejected:
        out += [
            "<h3>Lines in the folder quarantine, by file and reason</h3>",
            table(["file", "source", "reason", "lines", "first line"], rejected, words={1, 2}),
        ]
    return "".join(out)


def _details(step: dict[str, Any]) -> list[str]:
    details = step.get("details") or {}
    out = []
    for kind, entry in (details.get("encodings") or {}).items():
        named = "".join(f"<li>{escape(path)}</li>" for path in entry["first"])
        what = escape(inputs.encoded(kind, entry))
        out.append(f"<details><summary>{what}</summary><ul>{named}</ul></details>")
    counts = {key: count for key, count in (details.get("masked") or {}).items() if count}
    if counts:
        out.append(f"<p>Masked: {', '.join(f'{escape(key)} {count:,}' for key, count in counts.items())}</p>")
    for kind, unit in (("lines", "line"), ("rules", "document")):
        for name, entry in (details.get(kind) or {}).items():
            if not isinstance(entry, dict) or not entry.get("documents"):
                continue
            samples = "".join(f"<blockquote>{escape(text)}</blockquote>" for text in entry.get("samples", ()))
            size = f", {_bytes(entry['bytes'])}" if entry.get("bytes") else ""
            out.append(
                f"<details><summary>{escape(name)} <small>{counted(entry['documents'], unit)}{size}</small></summary>"
                f"{samples or '<p class=none>no example kept</p>'}</details>"
            )
    examples = details.get("samples")
    if isinstance(examples, list):
        out += [f"<blockquote>{escape(str(text))}</blockquote>" for text in examples]
    return out


def _near_copies(facts: dict[str, Any]) -> str:
    """Pairs of what went and what was kept for it; and where nobody looked for any."""
    out = []
    for pair in facts["near_copies"]:
        kept, gone = pair["kept"], pair["removed"]
        out.append(
            f"<details><summary>{escape(gone['source'])}: removed for one of {escape(kept['source'])}</summary>"
            f"<blockquote>{escape(gone['text'])}</blockquote><p>kept:</p>"
            f"<blockquote>{escape(kept['text'])}</blockquote></details>"
        )
    if out:
        out.insert(0, "<p>Examples of documents that were removed as near copies.</p>")
    if (names := facts["near_copies_not_looked_for"]) and facts["totals"]["validation"]["documents"]:
        out.append(
            f"<p class=warning>Near copies were not looked for in {escape(', '.join(names))}: documents that are held "
            "out may have near copies among those of training. Exact ones are always on one side.</p>"
        )
    return "".join(out)


def _evaluation_sets(steps: list[dict[str, Any]]) -> str:
    """What decontamination looked for in each set, what it could not look for, and the documents it took."""
    sets = merge_sets((step.get("details") or {}).get("evaluation sets", {}) for step in steps)
    if not sets:
        return ""
    rows = {name: summary(entry) for name, entry in sets.items()}

    def shown(head: Iterable[str], counts: dict[str, dict[str, int]]) -> str:
        cells = [[escape(name), *(f"{one[column]:,}" for column in head)] for name, one in counts.items()]
        return table(["set", *head], cells)

    return (
        shown([*next(iter(rows.values()))], rows)
        + "<p class=none>Not covered is a text without a letter or digit. Taken are documents; each counts for the set "
        "that is found first in it.</p><details><summary>How the texts are looked for</summary>"
        + shown(WAYS, sets)
        + "<p class=none>Texts are looked for by their n-grams; shorter ones as whole clauses or lines, one or two "
        "characters or words as whole documents.</p></details>"
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
    rows[-1:-1] = [[escape(name), "0", "0", "0 B", "0", "0.0%", "0"] for name in facts["empty"]]
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


def _external(found: dict[str, Any]) -> str:
    """The records of other tools, and the documents that they were or were not for."""
    if not found:
        return ""
    records = [
        ["used", f"{found['used']:,}"],
        ["· by several documents", f"{found['used_again']:,}"],
        ["of no document of the corpus", f"{found['unused']:,}"],
        ["of a text that has one already", f"{found['repeated']:,}"],
        ["all", f"{found['records']:,}"],
    ]
    documents = [
        ["annotated by a record", f"{found['documents']:,}"],
        ["without a record", f"{found['missing']:,}"],
        ["with a record that cannot be used", f"{sum(found['refused'].values()):,}"],
        *([f"· {escape(reason)}", f"{count:,}"] for reason, count in found["refused"].items()),
    ]
    return table(["", "records"], records, bold={len(records) - 1}) + table(["", "documents"], documents)


def _ordered(values: dict[str, float]) -> dict[str, float]:
    return dict(sorted(((k, v) for k, v in values.items() if v), key=lambda item: -item[1]))


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"


def _bytes(value: float) -> str:
    return amount(value, "B")
