"""Sources that are cleaned in their own way, and copies among all of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from taixue import UserError
from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig
from taixue.data_tools.shards import manifest

from ..passes.test_build_passes import documents
from ..texts import make_texts, write_jsonl

LONG = {"rules": [{"name": "long", "measure": "characters", "minimum": 100}]}
SHORT = {"rules": [{"name": "short", "measure": "characters", "minimum": 4}]}


def _build(folder: Path, tokenizer: Path, output: str, texts: dict[str, list[str]], **more: Any) -> Path:
    """own: what a source says itself. The other settings are the corpus's."""
    own = more.pop("own", {})
    for name, found in texts.items():
        if not (folder / f"{name}.jsonl").exists():
            write_jsonl(folder / f"{name}.jsonl", found)
    sources = [
        {"name": name, "inputs": [str(folder / f"{name}.jsonl")]} | own.get(name, {}) for name in texts
    ]
    values = {"tokenizer": str(tokenizer), "sources": sources, "output": str(folder / output), "workers": 1}
    return build(CorpusBuildConfig.model_validate(values | {"validation_fraction": 0} | more))


def test_filters_and_normalisation_of_a_source(tmp_path: Path, t5_folder: Path) -> None:
    """Reviews are short, and keep their width; a copy of a web page among them still goes."""
    web = [text for text in make_texts(60, seed=1, words=100) if len(text) > 120][:20]
    reviews = [f"很好，第{number}次来！" for number in range(10)]
    texts = {"web": [*web, "太短了。"], "reviews": [*reviews, "好", web[0]]}
    own = {"reviews": {"filters": SHORT, "normalize": False}}
    general = {"filters": LONG, "normalize": {"keep_fullwidth_punctuation": False}, "deduplicate": {}}
    folder = _build(tmp_path, t5_folder, "corpus", texts, own=own, **general)
    found = documents(folder, t5_folder)
    counts = {shard.source: shard.documents for shard in manifest.read_corpus(folder).shards}
    assert counts == {"web": 20, "reviews": 10}
    assert not any("," not in text and "，" in text for text in found["web"])
    steps = {
        (step["source"], step["step"]): step
        for step in json.loads((folder / "flow.json").read_bytes())["steps"]
    }
    assert steps["web", "filter"]["details"]["rules"]["long"]["documents"] == 1
    assert "long" not in steps["reviews", "filter"]["details"]["rules"]
    assert steps["reviews", "filter"]["details"]["changed"] == 0
    assert steps["reviews", "exact duplicates"]["removed_documents"] == 1


def test_only_the_source_that_changed_is_made_again(tmp_path: Path, t5_folder: Path) -> None:
    texts = {"web": make_texts(20, seed=1), "reviews": make_texts(20, seed=2)}

    def stamps(**own: Any) -> dict[str, str]:
        folder = _build(tmp_path, t5_folder, "corpus", texts, own=own, filters=SHORT)
        return {
            name: manifest.read_shard(folder / f"train-{name}-00000.json").stamp
            for name in ("web", "reviews")
        }

    before = stamps()
    assert stamps(reviews={"filters": SHORT}) == before  # the same, said twice
    after = stamps(reviews={"filters": False})
    assert after["web"] == before["web"]
    assert after["reviews"] != before["reviews"]


@pytest.mark.parametrize(
    ("takes", "expected"),
    [
        (["documents", "near", "paragraphs"], {"web": 30, "poems": 5}),
        (["documents"], {"web": 30, "poems": 10}),
        ([], {"web": 30, "poems": 20}),
    ],
)
def test_copies_that_a_source_takes_part_in(
    takes: list[str], expected: dict[str, int], tmp_path: Path, t5_folder: Path
) -> None:
    """Poems: five, each with a near copy, and all of it twice; five of them stand among the web pages, too."""
    web = make_texts(25, seed=1, words=100)
    poems = [text for text in make_texts(60, seed=9, words=100) if len(text) > 150][:5]
    changed = [text[:-4] + "改了" for text in poems]
    texts = {"web": [*web, *make_texts(5, seed=3)], "poems": [*poems, *changed] * 2}
    folder = _build(
        tmp_path,
        t5_folder,
        "corpus",
        texts,
        own={"poems": {"deduplicate": takes}},
        deduplicate={"paragraphs": True},
    )
    counts = {shard.source: shard.documents for shard in manifest.read_corpus(folder).shards}
    assert counts == expected


def test_who_takes_no_part_makes_nobody_go(tmp_path: Path, t5_folder: Path) -> None:
    texts = {"poems": make_texts(10, seed=1), "web": make_texts(10, seed=1)}
    both = _build(tmp_path, t5_folder, "both", texts, deduplicate={}, own={"poems": {"deduplicate": []}})
    counts = {shard.source: shard.documents for shard in manifest.read_corpus(both).shards}
    assert counts == {"poems": 10, "web": 10}


def test_true_is_no_setting() -> None:
    source = {"name": "web", "inputs": ["a"], "filters": True}
    with pytest.raises(ValidationError, match="should be a section, or false for none of it"):
        CorpusBuildConfig.model_validate({"tokenizer": "t", "output": "o", "sources": [source]})


def test_nothing_left_says_what_took_it(tmp_path: Path, t5_folder: Path) -> None:
    """Without the passes for copies and after the first of them, by the rules of the source itself."""
    texts = {"web": make_texts(9, seed=1), "reviews": ["好", "坏", "，", "!!"]}
    own = {"reviews": {"filters": LONG, "normalize": {}}}
    for more in ({}, {"deduplicate": {}}):
        with pytest.raises(
            UserError, match=r"source 'reviews': 0 documents are left of 4 in .*: 'long' took 4$"
        ):
            _build(tmp_path, t5_folder, "corpus", texts, own=own, **more)
