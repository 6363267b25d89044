"""Sources that are cleaned in their own way, and copies among all of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from taixue import UserError
from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig
from taixue.data_tools.report import report
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


@pytest.mark.parametrize(
    "more", [{}, {"deduplicate": {}}, {"deduplicate": {}, "shuffle": True, "annotate": {}}]
)
def test_an_empty_source_is_said_and_an_empty_corpus_refused(
    tmp_path: Path, t5_folder: Path, capsys: pytest.CaptureFixture[str], more: dict[str, Any]
) -> None:
    """Without the passes for copies and with them, by the rules of the source itself."""
    texts = {"reviews": ["好", "坏", "，", "!!"], "web": make_texts(9, seed=1)}
    own = {"reviews": {"filters": LONG, "normalize": {}}}
    folder = _build(tmp_path, t5_folder, "corpus", texts, own=own, validation_fraction=0.2, **more)
    said = capsys.readouterr().out
    assert "source 'reviews' is empty: 0 documents are left of 4: 'long' took 4\n" in said
    listed = manifest.read_corpus(folder).shards
    assert {shard.source for shard in listed} == {"web"}
    assert {shard.split for shard in listed} == {"train", "validation"}
    report(folder)
    facts = json.loads((folder / "report.json").read_bytes())
    assert facts["empty"] == {"reviews": "0 documents are left of 4: 'long' took 4"}
    assert "The source is empty: 0 documents are left of 4" in (folder / "report.html").read_text()
    two = {"reviews": texts["reviews"], "more": ["好", "一"]}
    own["more"] = {"filters": LONG}
    empty = r"^the corpus is empty; at least 1 document is needed\nsource 'reviews': 0 .*\nsource 'more': 0 .* took 2"
    with pytest.raises(UserError, match=empty):
        _build(tmp_path, t5_folder, "nothing", two, own=own, **more)


def test_a_source_of_copies_only_is_said(
    tmp_path: Path, t5_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"web": make_texts(30, seed=1), "mirror": make_texts(30, seed=1)[:10]}
    folder = _build(tmp_path, t5_folder, "corpus", texts, deduplicate={}, validation_fraction=0.1)
    taken = "source 'mirror' is empty: 0 documents are left of 10: exact duplicates took 10"
    assert taken in capsys.readouterr().out
    assert {shard.source for shard in manifest.read_corpus(folder).shards} == {"web"}
    # It is whole: a second run has nothing to do.
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.bin")}
    _build(tmp_path, t5_folder, "corpus", texts, deduplicate={}, validation_fraction=0.1)
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.bin")} == before
