"""Corpora of random documents: copies of every kind, shared paragraphs, planted evaluation texts."""

import json
import random
import unicodedata
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from taixue.data_tools import native
from taixue.data_tools.clean.cleaner import Cleaner
from taixue.data_tools.clean.config import NormalizeConfig

from ..texts import make_texts

LONG = 20  # characters of a paragraph that is removed where it is repeated
NGRAM = 13
_COPIES = ("documents", "near", "paragraphs")
_SIMPLIFIED = "气学习发经济会问题师医机农还说虽车飞为们个术业东样书时间"
_TRADITIONAL = "氣學習發經濟會問題師醫機農還說雖車飛為們個術業東樣書時間"
_TO_TRADITIONAL = str.maketrans(_SIMPLIFIED, _TRADITIONAL)
_TO_SIMPLIFIED = str.maketrans(_TRADITIONAL, _SIMPLIFIED)
_WIDE = {code: code + 0xFEE0 for code in range(ord("0"), ord("z") + 1)}
_IGNORED = "\u200b\ufeff"
POOL = [
    *(line for line in "".join(make_texts(60, 21, 40)).replace("\n", "。").split("。") if len(line) > LONG),
    *("天气的一年", "学习", "2024年3月"),
]


def is_hanzi(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"


# Long enough to be found anywhere; no word of Latin letters can grow together with what stands around them.
_LEAKS = [
    line for line in POOL if sum(map(is_hanzi, line)) >= NGRAM and is_hanzi(line[0]) and is_hanzi(line[-1])
]


def identity(text: str) -> str:
    """What counts in a text where copies are looked for."""
    return " ".join(unicodedata.normalize("NFKC", text.translate(dict.fromkeys(map(ord, _IGNORED)))).split())


def as_spaces(text: str) -> str:
    """The text with spaces in place of what is ignored."""
    return text.translate(dict.fromkeys(map(ord, _IGNORED), " "))


def plain(text: str) -> str:
    """A text without what its tokens do not tell."""
    return identity(text).replace(" ", "")


def letters(text: str) -> str:
    """What counts in a text where evaluation texts are looked for."""
    return "".join(filter(str.isalnum, plain(text).lower())).translate(_TO_SIMPLIFIED)


def traditional(text: str) -> str:
    return text.translate(_TO_TRADITIONAL)


@dataclass
class Document:
    """cleaned: as it leaves the cleaner. kinds: of copies that it is compared for."""

    source: str
    text: str
    cleaned: str = ""
    passes: bool = True
    leak: Literal["none", "maybe", "sure"] = "none"
    kinds: frozenset[str] = frozenset()


@dataclass
class RandomCorpus:
    """documents in the order of the inputs; settings: of the build; features: what is in it."""

    documents: list[Document]
    evaluation: list[str]
    settings: dict[str, Any]
    bad: dict[str, int]
    features: set[str] = field(default_factory=set)

    def of(self, source: str) -> list[Document]:
        return [document for document in self.documents if document.source == source]


def random_corpus(folder: Path, choose: random.Random) -> RandomCorpus:
    """Writes its inputs into the folder."""
    features: set[str] = set()
    evaluation = choose.sample(_LEAKS, choose.choice([0, 0, 1, 2]))
    texts = [
        _in_a_form(choose, "\n".join(lines), features) for lines in _documents(choose, evaluation, features)
    ]
    names = ["a", "b", "c"][: min(choose.randint(1, 3), 1 + len(texts) // 4)]
    owners = [choose.choice(names) for _ in texts]
    by_source = {name: [t for t, own in zip(texts, owners, strict=True) if own == name] for name in names}
    by_source = {name: own for name, own in by_source.items() if own}
    settings = _settings(choose, [*by_source], features)
    bad = {name: choose.choice([0, 0, 1, 2]) for name in by_source}
    for entry in settings["sources"]:
        name = entry["name"]
        entry["inputs"] = [str(folder / f"{name}.jsonl")]
        lines = [json.dumps({"text": text}, ensure_ascii=False) for text in by_source[name]]
        (folder / f"{name}.jsonl").write_text("".join(line + "\n" for line in ["{"] * bad[name] + lines))
    if evaluation:
        rows = [json.dumps({"t": _in_a_form(choose, text, set())}) + "\n" for text in evaluation]
        (folder / "evaluation.jsonl").write_text("".join(rows))
        settings["decontaminate"] = {"inputs": [str(folder / "evaluation.jsonl")]}
    features.add(f"{len(by_source)} sources")
    documents = [Document(name, text) for name, own in by_source.items() for text in own]
    corpus = RandomCorpus(documents, evaluation, settings, bad, features)
    _judge(corpus)
    return corpus


def _documents(choose: random.Random, evaluation: list[str], features: set[str]) -> list[list[str]]:
    """Documents as lines."""
    pool = choose.sample(POOL, choose.randint(2, 12))
    made: list[list[str]] = []
    for number in range(choose.randint(3, 24)):
        kind = choose.choice(["fresh", "copy", "line changed", "near copy", "shared paragraph", "planted"])
        lines = list(choose.choice(made)) if made else choose.choices(pool, k=choose.randint(1, 6))
        place = choose.randrange(len(lines))
        if kind == "fresh":
            lines = choose.choices(pool, k=choose.randint(1, 6)) + [f"第{number}篇"] * choose.randint(0, 1)
        elif kind == "line changed":
            lines[place] = choose.choice(pool) + choose.choice(["", "春", "秋"])
        elif kind == "near copy":
            at = choose.randrange(len(lines[place]) + 1)
            lines[place] = (
                lines[place][:at] + choose.choice("春秋冬夏") + lines[place][at + choose.randint(0, 1) :]
            )
        elif kind == "shared paragraph":
            lines = [f"第{number}篇", lines[place], *choose.choices(pool, k=choose.randint(0, 2))]
        elif kind == "planted" and evaluation:
            text, how = (
                choose.choice(evaluation),
                choose.choice(["whole", "line", "inside", "over two lines"]),
            )
            at = choose.choice([k for k in range(1, len(text)) if is_hanzi(text[k])])  # within no word
            parts = {
                "whole": [text],
                "line": [*lines, text],
                "inside": [*lines[:place], lines[place] + text + choose.choice(pool), *lines[place:]],
                "over two lines": [*lines, text[:at], text[at:]],
            }
            lines, kind = parts[how], f"planted: {how}"
        if kind != "planted":
            features.add(kind)
        made.append(lines)
    return made


def _in_a_form(choose: random.Random, text: str, features: set[str]) -> str:
    """A text in one of the forms that are equal to a tokenizer, or where evaluation texts are looked for."""
    at = choose.randrange(len(text) + 1)
    forms = {
        "outer white space": choose.choice(["  ", "\n", "\u3000"]) + text + choose.choice(["", " ", "\n\n"]),
        "wide": text.translate(_WIDE),
        "ignored characters": text[:at] + choose.choice(_IGNORED) + text[at:],
        "inner white space": text.replace("\n", choose.choice([" \n", "\n\n"])).replace(" ", "\u3000 "),
        "traditional": traditional(text),
    }
    name = choose.choice([*forms, *["as it is"] * 4])
    form = forms.get(name, text)
    if form != text:
        features.add(name)
    return form


def _settings(choose: random.Random, names: list[str], features: set[str]) -> dict[str, Any]:
    deduplicate = {
        "documents": choose.random() < 0.85,
        "near": choose.random() < 0.5,
        "paragraphs": choose.random() < 0.6,
        "paragraph_characters": LONG,
    }
    if not any(list(deduplicate.values())[:3]) or choose.random() < 0.1:
        deduplicate = {}
    else:
        features |= {f"deduplicate {kind}" for kind in _COPIES if deduplicate[kind]}
    values: dict[str, Any] = {
        "validation_fraction": choose.choice([0, 0.2, 0.5]),
        "shuffle": choose.random() < 0.5,
        "shard_bytes": choose.choice([400, 1500, 6000]),
        "seed": choose.randint(1, 1000),
        "deduplicate": deduplicate or None,
        "sources": [{"name": name} for name in names],
    }
    if choose.random() < 0.5:
        values["filters"] = _filters(choose)
    if choose.random() < 0.3:
        values["normalize"] = _normalize(choose)
    for source in values["sources"]:
        if choose.random() < 0.25:
            source["filters"] = choose.choice([False, _filters(choose)])
        if choose.random() < 0.25:
            source["normalize"] = choose.choice([False, _normalize(choose)])
        if choose.random() < 0.25:
            source["deduplicate"] = choose.sample(_COPIES, choose.randint(0, 3))
        features |= {f"{name} of a source" for name in source if name != "name"}
    return values


def _filters(choose: random.Random) -> dict[str, Any]:
    return {
        "rules": [{"name": "length", "measure": "characters", "minimum": choose.choice([5, 10, 30, 30, 80])}]
    }


def _normalize(choose: random.Random) -> dict[str, Any]:
    return {"simplify": find_spec("opencc") is not None and choose.random() < 0.5}


def _judge(corpus: RandomCorpus) -> None:
    """What the settings say of each document."""
    settings = corpus.settings
    on = {kind for kind in _COPIES if (settings["deduplicate"] or {}).get(kind)}
    leaked = [letters(text) for text in corpus.evaluation]
    pieces = {text[at : at + 6] for text in leaked for at in range(len(text) - 5)}
    for source in settings["sources"]:
        own = corpus.of(source["name"])
        normalize, filters = (source.get(key, settings.get(key)) for key in ("normalize", "filters"))
        texts = [document.text for document in own]
        if isinstance(normalize, dict):
            texts = native.strings(Cleaner(NormalizeConfig(**normalize), None).clean(texts)[0])
        minimum = filters["rules"][0]["minimum"] if filters else 0
        for document, text in zip(own, texts, strict=True):
            document.cleaned, document.passes = text, len(text) >= minimum
            document.kinds = frozenset(on & {*source.get("deduplicate", _COPIES)})
            known = letters(text)
            if any(leak in known for leak in leaked):
                document.leak = "sure"
            elif any(known[at : at + 6] in pieces for at in range(len(known) - 5)):
                document.leak = "maybe"
