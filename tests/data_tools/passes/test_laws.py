"""Corpora of random documents with random copies, paragraphs, splits and evaluation sets keep five laws.

TAIXUE_LAWS=5000 tries so many corpora; the suite a few.
"""

import json
import os
import random
import unicodedata
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.base import files
from taixue.data_tools import native
from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig
from taixue.data_tools.passes import index
from taixue.data_tools.shards.corpus import open_corpus
from taixue.data_tools.tokenizer.store import load_tokenizer

from ..texts import make_texts

CASES = int(os.environ.get("TAIXUE_LAWS", "12"))
LONG = 20  # characters of a paragraph that is removed where it is repeated
_POOL = [
    *(line for line in "".join(make_texts(60, 21, 40)).replace("\n", "。").split("。") if len(line) > LONG),
    *("天气的一年", "学习", "2024年3月"),
]


def is_hanzi(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"


def plain(text: str) -> str:
    """A text without what its tokens do not tell."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def written(choose: random.Random, paragraphs: list[str]) -> str:
    """Paragraphs as a document, in one of the forms that are equal to a tokenizer."""
    text = "\n".join(paragraphs)
    if choose.random() < 0.3:
        text = choose.choice(["  ", "\n", "\u3000"]) + text + choose.choice(["", " ", "\n\n"])
    if choose.random() < 0.2:
        text = text.translate({code: code + 0xFEE0 for code in range(ord("0"), ord("z") + 1)})
    return text


def random_corpus(
    folder: Path, choose: random.Random
) -> tuple[dict[str, list[str]], list[str], dict[str, Any]]:
    """(texts by source, evaluation texts, settings of the build)."""
    pool = choose.sample(_POOL, choose.randint(2, 12))
    documents: list[list[str]] = []
    for _ in range(choose.randint(2, 30)):
        if documents and choose.random() < 0.4:
            document = list(choose.choice(documents))
            if choose.random() < 0.6:
                document[choose.randrange(len(document))] = choose.choice(pool) + choose.choice(
                    ["", "春", "秋"]
                )
        else:
            document = choose.choices(pool, k=choose.randint(1, 6))
        documents.append(document)
    evaluation = [
        text for text in choose.sample(pool, choose.randint(0, 2)) if sum(map(is_hanzi, text)) >= 13
    ]
    names = ["a", "b"][: choose.randint(1, 2)]
    sources: dict[str, list[str]] = {name: [] for name in names}
    for document in documents:
        sources[choose.choice(names)].append(written(choose, document))
    sources = {name: texts for name, texts in sources.items() if texts}
    deduplicate = {
        "documents": choose.random() < 0.9,
        "near": choose.random() < 0.5,
        "paragraphs": choose.random() < 0.7,
        "paragraph_characters": LONG,
    }
    values: dict[str, Any] = {
        "validation_fraction": choose.choice([0, 0.2, 0.5]),
        "shuffle": choose.random() < 0.5,
        "shard_bytes": choose.choice([400, 3000]),
        "seed": choose.randint(1, 1000),
        "deduplicate": deduplicate if any(list(deduplicate.values())[:3]) and choose.random() < 0.9 else None,
    }
    if choose.random() < 0.6:
        rule = {"name": "length", "measure": "characters", "minimum": choose.choice([10, 30, 80])}
        values["filters"] = {"rules": [rule]}
    if evaluation:
        (folder / "evaluation.jsonl").write_text(
            "".join(json.dumps({"t": text}) + "\n" for text in evaluation)
        )
        values["decontaminate"] = {"inputs": [str(folder / "evaluation.jsonl")]}
    return sources, evaluation, values


@settings(max_examples=CASES, deadline=None)
@given(st.integers(0, 2**40))
def test_laws(t5_folder: Path, number: int) -> None:
    choose = random.Random(number)
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "sync", lambda path: None)
        patch.setattr(index, "_LONG_RUN", choose.choice([1, 2, 64]))
        patch.setattr(index, "_RUN_PARAGRAPHS", choose.choice([1, 1 << 20]))
        patch.setattr(index, "_RUN_DOCUMENTS", choose.choice([3, 1 << 16]))
        folder = Path(name)
        sources, evaluation, values = random_corpus(folder, choose)
        bad = {source: choose.randint(0, 1) for source in sources}
        for source, texts in sources.items():
            lines = ["{"] * bad[source] + [json.dumps({"text": text}) for text in texts]
            (folder / f"{source}.jsonl").write_text("".join(line + "\n" for line in lines))
        minimum = values["filters"]["rules"][0]["minimum"] if "filters" in values else 0
        passed = {source: [t for t in texts if len(t) >= minimum] for source, texts in sources.items()}
        leaked = [plain(text) for text in evaluation]
        clear = [t for own in passed.values() for t in own if not any(e in plain(t) for e in leaked)]
        entries = [{"name": source, "inputs": [str(folder / f"{source}.jsonl")]} for source in sources]
        settings_ = {
            "tokenizer": str(t5_folder),
            "sources": entries,
            "output": str(folder / "out"),
            "workers": 1,
        }
        try:
            built = build(CorpusBuildConfig.model_validate(settings_ | values))
        except UserError as error:
            if "the corpus is empty" in str(error):
                return
            raise
        kept = kept_documents(built, t5_folder)
        check_accounts(built, sources, bad, kept)
        check_copies(values, clear, kept)
        sides = [{ids for _, split, ids, _ in kept if split == side} for side in ("train", "validation")]
        assert not sides[0] & sides[1], "a document on both sides"
        check_paragraphs(built, values, clear, [text for *_, text in kept])
        for text in leaked:
            assert not any(text in document for *_, document in kept), "an evaluation text is left"


Kept = list[tuple[str, str, tuple[int, ...], str]]


def kept_documents(folder: Path, tokenizer: Path) -> Kept:
    """(source, split, tokens, text) of every document."""
    loaded = load_tokenizer(tokenizer)
    found = []
    listing = {shard["split"] for shard in json.loads((folder / "corpus.json").read_text())["shards"]}
    for split in sorted(listing):
        for shard in open_corpus(folder, split).shards:
            for number in range(shard.entry.documents):
                ids = shard.reader.document(number)[:-1]
                found.append((shard.entry.source, split, tuple(ids.tolist()), plain(loaded.decode(ids))))
    return found


def check_accounts(folder: Path, sources: dict[str, list[str]], bad: dict[str, int], kept: Kept) -> None:
    """Every document read is kept or removed by a named step; every line read is one or in quarantine."""
    steps = json.loads((folder / "flow.json").read_text())["steps"]
    for source, texts in sources.items():
        own = [step for step in steps if step["source"] == source]
        assert own[0]["documents"] == len(texts)
        assert own[0]["details"]["rejected"] == bad[source]
        left = len(texts) - sum(step["removed_documents"] for step in own)
        assert left == own[-1]["documents"] == sum(entry[0] == source for entry in kept)
        assert (own[-1]["removed_documents"], own[-1]["removed_bytes"]) == (0, 0)
        for step in own:
            if step["step"] in ("filter", "filtered again"):
                rules = step["details"]["rules"].values()
                assert sum(rule["documents"] for rule in rules) == step["removed_documents"]


def check_copies(values: dict[str, Any], clear: list[str], kept: Kept) -> None:
    """Of each group of exact copies exactly one stays (at most one where near copies go or paragraphs are cut)."""
    rows = native.exact_hash(clear).tolist()
    groups = {tuple(row): plain(text) for row, text in zip(rows, clear, strict=True)}
    texts = Counter(text for *_, text in kept)
    deduplicate = values["deduplicate"]
    if deduplicate is None or not (deduplicate["documents"] or deduplicate["near"]):
        return
    if deduplicate["paragraphs"] or deduplicate["near"]:
        assert len(kept) <= len(groups)
    else:
        assert len(kept) == len(groups)
        assert texts == Counter(groups.values())


def check_paragraphs(folder: Path, values: dict[str, Any], clear: list[str], kept: list[str]) -> None:
    """A paragraph of a document that passed is still there: always when several had it, else unless the rest of its
    document was removed."""
    deduplicate = values["deduplicate"]
    if deduplicate is None or deduplicate["near"]:  # near copies take their own lines with them
        return
    flow = json.loads((folder / "flow.json").read_text())["steps"]
    again = sum(step["removed_documents"] for step in flow if step["step"] == "filtered again")
    documents = {plain(text): text for text in clear}.values()
    holders = Counter(plain(line) for text in documents for line in {*text.split("\n")} if len(line) >= LONG)
    for line, count in holders.items():
        if count > 1 or not again:
            assert any(line in text for text in kept), "a paragraph is lost"
