"""Corpora of random documents with random copies, paragraphs, splits and evaluation sets keep five laws.

TAIXUE_LAWS=5000 tries so many corpora, others each time (--hypothesis-show-statistics: what was in them); the suite a
few, the same each time.
"""

import json
import multiprocessing
import os
import random
import re
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.base import files
from taixue.data_tools.build import needed
from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig, TokenizerTrainConfig
from taixue.data_tools.passes import index
from taixue.data_tools.shards.corpus import open_corpus
from taixue.data_tools.tokenizer.store import load_tokenizer, train

from ..texts import make_texts, write_jsonl
from . import random_corpora
from .random_corpora import LONG, Document, RandomCorpus, identity, letters, plain, random_corpus

CASES = int(os.environ.get("TAIXUE_LAWS", "0"))
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
_LEAST_LIKE = 0.45  # near copies are 0.68 by an estimate whose standard deviation is 0.045
_SURELY_LIKE = 0.95
_SMALL = 9  # documents of one band that are all compared with each other


class Kept(NamedTuple):
    source: str
    split: str
    ids: tuple[int, ...]
    words: str  # with a space where there was white space

    @property
    def text(self) -> str:
        return plain(self.words)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that knows every character of the random documents."""
    folder = tmp_path_factory.mktemp("laws")
    known = [
        *random_corpora.POOL,
        *map(random_corpora.traditional, random_corpora.POOL),
        "春秋冬夏第0123456789篇",
    ]
    inputs = write_jsonl(folder / "texts.jsonl", [*make_texts(100, seed=7), *known])
    config = TokenizerTrainConfig(
        kind="t5",
        inputs=(str(inputs),),
        output=str(folder / "tokenizer"),
        vocab_size=500,
        threads=1,
        sentinels=20,
        character_coverage=1.0,
    )
    made = train(config)
    loaded = load_tokenizer(made)
    assert all(plain(loaded.decode(loaded.encode([text])[0])) == plain(text) for text in known)
    return made


@pytest.mark.timeout(300 + 60 * CASES)
@settings(max_examples=CASES or 12, deadline=None, derandomize=not CASES)
@given(st.integers(0, 2**40))
def test_laws(tokenizer: Path, number: int) -> None:
    choose = random.Random(number)
    with TemporaryDirectory(dir=_MEMORY) as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "sync", lambda path: None)
        far = choose.choice([1, 2, 64])
        patch.setattr(index, "_LONG_RUN", far)
        patch.setattr(index, "_RUN_PARAGRAPHS", choose.choice([1, 1 << 20]))
        patch.setattr(index, "_RUN_DOCUMENTS", choose.choice([3, 1 << 16]))
        patch.setattr(needed, "_LEAST_PARTS", choose.choice([1, 1, 3, 64]))
        folder = Path(name)
        corpus = random_corpus(folder, choose)
        common = corpus.settings | {"tokenizer": str(tokenizer), "workers": 1}
        config = CorpusBuildConfig.model_validate(common | {"output": str(folder / "out")})
        for feature in corpus.features:
            event(feature)
        try:
            built = build(config)
        except UserError as error:
            if "the corpus is empty" in str(error):
                event("refused")
                return
            raise
        kept = kept_documents(built, tokenizer)
        check_accounts(built, corpus, kept)
        check_exact_copies(corpus, kept)
        check_near_copies(corpus, kept, is_complete=far == 64 and len(corpus.documents) <= _SMALL)
        check_paragraphs(built, corpus, kept)
        sides = [{one.ids for one in kept if one.split == side} for side in ("train", "validation")]
        assert not sides[0] & sides[1], "a document on both sides"
        for leak in map(letters, corpus.evaluation):
            assert not any(leak in letters(one.text) for one in kept), "an evaluation text is left"
        if choose.random() < 0.1:
            event("ranks")
            check_ranks(built, common | {"output": str(folder / "ranks")}, choose.choice([2, 3]))


def kept_documents(folder: Path, tokenizer: Path) -> list[Kept]:
    loaded = load_tokenizer(tokenizer)
    found = []
    listing = {shard["split"] for shard in json.loads((folder / "corpus.json").read_text())["shards"]}
    for split in sorted(listing):
        for shard in open_corpus(folder, split).shards:
            for number in range(shard.entry.documents):
                ids = shard.reader.document(number)[:-1]
                words = identity(loaded.decode(ids))
                found.append(Kept(shard.entry.source, split, tuple(ids.tolist()), words))
    return found


def check_accounts(folder: Path, corpus: RandomCorpus, kept: list[Kept]) -> None:
    """Every document and byte read is kept or removed by a named step; every line read is one or in quarantine."""
    flow = json.loads((folder / "flow.json").read_text())["steps"]
    for source in corpus.bad:
        own = corpus.of(source)
        steps = {step["step"]: step for step in flow if step["source"] == source}
        first, *rest = steps.values()
        assert first["documents"] == len(own)
        assert first["bytes"] == sum(len(document.text.encode()) for document in own)
        assert first["details"]["rejected"] == corpus.bad[source] == len(_lines(folder, "quarantine", source))
        documents, size = first["documents"], first["bytes"]
        for step in rest:
            documents -= step["removed_documents"]
            size -= step["removed_bytes"]
            assert (documents, size) == (step["documents"], step["bytes"])
        mine = [one for one in kept if one.source == source]
        assert documents == len(mine)
        assert (step["removed_documents"], step["removed_bytes"]) == (0, 0)
        passed = [document for document in own if document.passes]
        if "filter" in steps:
            assert steps["filter"]["documents"] == len(passed)
            assert steps["filter"]["bytes"] == sum(len(document.cleaned.encode()) for document in passed)
        for name in {"filter", "filtered again"} & {*steps}:
            rules = steps[name]["details"]["rules"].values()
            assert sum(rule["documents"] for rule in rules) == steps[name]["removed_documents"]
        if "decontaminate" in steps:
            taken = steps["decontaminate"]["removed_documents"]
            leaks = Counter(document.leak for document in passed)
            assert leaks["sure"] <= taken <= leaks["sure"] + leaks["maybe"]
            assert taken == len(_lines(folder, "decontaminated", source))
        if "paragraphs" not in _kinds(
            own
        ):  # whole documents stay: their bytes are those of some of the originals
            sizes: dict[str, list[int]] = {}
            for document in passed:
                sizes.setdefault(plain(document.cleaned), []).append(len(document.cleaned.encode()))
            assert (
                sum(min(sizes[one.text]) for one in mine) <= size <= sum(max(sizes[one.text]) for one in mine)
            )


def _lines(folder: Path, name: str, source: str) -> list[Any]:
    paths = sorted((folder / name).glob(f"{source}-*.jsonl"))
    return [orjson.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def _kinds(documents: list[Document]) -> set[str]:
    return {kind for document in documents for kind in document.kinds}


def check_exact_copies(corpus: RandomCorpus, kept: list[Kept]) -> None:
    """Of each group of exact copies exactly one stays, in the source that is listed first (where near copies go or
    paragraphs are cut, at most one); of sources that take no part, every document."""
    groups: dict[str, list[Document]] = {}
    for document in corpus.documents:
        if document.passes:
            groups.setdefault(identity(document.cleaned), []).append(document)
    for text, group in groups.items():
        alone = [document for document in group if not document.kinds]
        apart = [document for document in group if document.kinds == {"paragraphs"}]
        together = [document for document in group if document.kinds & {"documents", "near"}]
        stays = Counter(one.source for one in kept if one.text == plain(text))
        if group[0].leak == "sure":
            assert not stays
            continue
        is_clear = all(document.leak == "none" for document in group)
        for document in alone:
            own = [other for other in alone if other.source == document.source]
            assert not is_clear or stays[document.source] == len(own), "a document that no rule takes is lost"
        if apart or not together or "paragraphs" in _kinds(corpus.documents):
            continue
        sources = [document.source for document in together]
        count = sum(stays[source] for source in {*sources})
        assert count <= 1, "two copies stay"
        if is_clear and "near" not in _kinds(corpus.documents):
            assert stays[sources[0]] == 1, "no copy stays, or another than the first"


def check_near_copies(corpus: RandomCorpus, kept: list[Kept], is_complete: bool) -> None:
    """What goes as a near copy is like one that stays; no two stay that surely are copies."""
    if "near" not in _kinds(corpus.documents) or "paragraphs" in _kinds(corpus.documents):
        return
    taking = {document.source for document in corpus.documents if document.kinds & {"documents", "near"}}
    near = {document.source for document in corpus.documents if "near" in document.kinds}
    texts = {one.text for one in kept if one.source in taking}
    shingles = [_shingles(text) for text in texts]
    for document in corpus.documents:
        takes_part = document.passes and document.leak == "none" and document.source in taking
        if takes_part and plain(document.cleaned) not in texts:
            mine = _shingles(document.cleaned)
            assert max(_likeness(mine, other) for other in shingles) >= _LEAST_LIKE, "a document is lost"
    if is_complete:
        stay = [_shingles(one.text) for one in kept if one.source in near]
        for number, one in enumerate(stay):
            assert not any(_likeness(one, other) > _SURELY_LIKE for other in stay[:number]), (
                "near copies stay"
            )


def _shingles(text: str) -> set[str]:
    known = "".join(filter(str.isalnum, plain(text).lower()))
    return {known[at : at + 5] for at in range(len(known) - 4)}


def _likeness(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def check_paragraphs(folder: Path, corpus: RandomCorpus, kept: list[Kept]) -> None:
    """A paragraph of a document that passed is still there: always when several had it, else unless the rest of its
    document was removed; and only once, but for documents that were kept whole."""
    if "paragraphs" not in _kinds(corpus.documents) or "near" in _kinds(corpus.documents):
        return  # near copies take their own lines with them
    flow = json.loads((folder / "flow.json").read_text())["steps"]
    again = sum(step["removed_documents"] for step in flow if step["step"] == "filtered again")
    whole = sum(step["details"]["kept whole"] for step in flow if step["step"] == "repeated paragraphs")
    taking = [
        one for one in corpus.documents if one.passes and "paragraphs" in one.kinds and one.leak == "none"
    ]
    documents = {identity(one.cleaned): one.cleaned for one in taking}
    holders: Counter[str] = Counter()
    for text in documents.values():
        holders.update({identity(line) for line in text.split("\n") if len(line) >= LONG})
    sources = {one.source for one in corpus.documents if "paragraphs" in one.kinds}
    texts = [one.words for one in kept if one.source in sources]
    lines = {
        identity(form)
        for one in corpus.documents
        for line in one.cleaned.split("\n")
        for form in (line, random_corpora.as_spaces(line))  # to the tokenizer, marks without width are spaces
    }
    for line, count in holders.items():
        found = sum(_times(line, text) for text in texts)
        is_there = found or any(plain(line) in one.text for one in kept)
        assert is_there or (count == 1 and again), "a paragraph is lost"
        is_part = any(_times(line, other) for other in lines - {line})
        assert whole or is_part or found <= 1, "a paragraph stays twice"


def _times(line: str, text: str) -> int:
    """How often a text holds a line between white space."""
    return len(re.findall(rf"(?<!\S){re.escape(line)}(?!\S)", text))


def check_ranks(built: Path, values: dict[str, Any], world: int) -> None:
    """So many ranks write the same bytes."""
    config = CorpusBuildConfig.model_validate(values)
    forked = multiprocessing.get_context("fork")
    ranks = [forked.Process(target=build, args=(config, rank, world)) for rank in range(world)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(120)
        assert process.exitcode == 0
    names = [path.name for path in built.iterdir() if path.suffix in (".bin", ".idx", ".json")]
    assert {
        name for name in names if (built / name).read_bytes() != (config_output(config) / name).read_bytes()
    } == set()


def config_output(config: CorpusBuildConfig) -> Path:
    return Path(config.output)
