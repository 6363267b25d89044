"""What is removed has a holder that stays, and no copy of a held-out document is trained on."""

import json
from pathlib import Path
from typing import Any

import pytest

from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig
from taixue.data_tools.passes import index
from taixue.data_tools.shards.corpus import open_corpus
from taixue.data_tools.tokenizer.store import load_tokenizer

from ..texts import make_corpus, make_texts, write_jsonl

LINES = [
    "今天天气很好所以我们去北京看火车和飞机还有城市",
    "老师和学生在医院学习技术发展经济社会问题很好看",
    "春天的农村和秋天的城市都有孩子去看火车吃喝学习",
    "公司的技术发展很好但是社会问题还是要学习再去看",
]


def built(
    folder: Path, tokenizer: Path, sources: dict[str, list[str]], **changes: Any
) -> tuple[list[str], dict[str, Any]]:
    """(texts of the corpus without white space, {step: what it removed, over all sources})."""
    chosen = {"deduplicate": {"paragraphs": True, "near": False}} | changes
    made = make_corpus(folder / "corpus", tokenizer, sources, **chosen)
    loaded = load_tokenizer(tokenizer)
    texts = [
        "".join(loaded.decode(shard.reader.document(number)[:-1]).split())
        for split in {entry["split"] for entry in json.loads((made / "corpus.json").read_text())["shards"]}
        for shard in open_corpus(made, split).shards
        for number in range(shard.entry.documents)
    ]
    steps: dict[str, Any] = {}
    for step in json.loads((made / "flow.json").read_text())["steps"]:
        entry = steps.setdefault(step["step"], {"documents": 0, "details": step["details"]})
        entry["documents"] += step["removed_documents"]
    return sorted(texts), steps


def differing(count: int) -> list[str]:
    """Reposts of one article that differ in one short line."""
    article = "\n".join(LINES)
    return [f"{article}\n第{number}篇" for number in range(count)]


@pytest.mark.parametrize("count", [3, 64, 100])
def test_of_reposts_one_article_stays(tmp_path: Path, t5_folder: Path, count: int) -> None:
    rules = {"rules": [{"name": "length", "measure": "characters", "minimum": 50}]}
    deduplicate = {"paragraphs": True}
    texts, steps = built(
        tmp_path, t5_folder, {"a": differing(count)}, filters=rules, deduplicate=deduplicate, shard_bytes=9000
    )
    assert len(texts) == 1
    assert all(line in texts[0] for line in LINES)
    assert steps["near duplicates"]["documents"] == count - 1


def test_what_is_left_of_a_document_is_filtered(tmp_path: Path, t5_folder: Path) -> None:
    rules = {"rules": [{"name": "length", "measure": "characters", "minimum": 50}]}
    texts, steps = built(tmp_path, t5_folder, {"a": differing(90)}, filters=rules)
    assert len(texts) == 1
    assert all(line in texts[0] for line in LINES)
    assert steps["filtered again"]["documents"] == 89
    assert steps["filtered again"]["details"]["rules"]["length"]["documents"] == 89
    assert steps["repeated paragraphs"]["details"] == {"paragraphs": 89 * 4, "kept whole": 0}


def test_a_document_that_others_gave_a_paragraph_up_for_stays(tmp_path: Path, t5_folder: Path) -> None:
    """The rest of the second is too short, but the third gave up a line for it."""
    rules = {"rules": [{"name": "length", "measure": "characters", "minimum": 30}]}
    chain = ["\n".join(LINES[:2]), "\n".join(LINES[1:3]), "\n".join([*LINES[2:], "学习" * 10])]
    texts, steps = built(tmp_path, t5_folder, {"a": chain}, filters=rules)
    assert all(any(line in text for text in texts) for line in LINES)
    assert len(texts) == 3
    assert steps["repeated paragraphs"]["details"]["kept whole"] == 1


def test_a_near_copy_goes_for_one_that_is_like_it(tmp_path: Path, t5_folder: Path) -> None:
    """Of a story that drifts, each version like the next and the first unlike the last."""
    parts = [text.replace("\n", "。") for text in make_texts(60, 3, 30)]
    versions = ["".join(parts[first : first + 20]) for first in range(40)]
    texts, steps = built(tmp_path, t5_folder, {"a": versions}, deduplicate={"near": True})
    assert len(texts) > 1
    assert steps["near duplicates"]["documents"] == len(versions) - len(texts)
    assert len(texts) < 20
    kept = [shingles(text) for text in texts]
    for version in versions:
        mine = shingles("".join(version.split()))
        assert max(len(mine & other) / len(mine | other) for other in kept) > 0.6


def test_many_near_copies_in_one_run_of_rows(
    tmp_path: Path, t5_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run hands few rows of a band on; of the others it finds the copies itself."""
    monkeypatch.setattr(index, "_LONG_RUN", 1)
    article = "".join(make_texts(5, 6, 80)).replace("\n", "。")
    copies = [f"{article}{end}" for end in ("", "又", "再看", "还有")]
    texts, steps = built(tmp_path, t5_folder, {"a": copies}, deduplicate={"near": True})
    assert len(texts) == 1
    assert steps["near duplicates"]["documents"] == 3


def shingles(text: str) -> set[str]:
    return {text[place : place + 5] for place in range(len(text) - 4)}


def test_an_exact_copy_in_a_source_that_looks_for_no_others(tmp_path: Path, t5_folder: Path) -> None:
    """It has no sketch, and is in a group with documents that have one. Its copy goes for a longer near copy, which is
    no copy of it: of the two that are equal, it is the one that stays."""
    article = "".join(make_texts(5, 6, 80)).replace("\n", "。")
    given = {"a": [article, f"{article}又", f"{article}再"], "b": [f" {article}", f"{article}也"]}
    paths = {name: write_jsonl(tmp_path / f"{name}.jsonl", texts) for name, texts in given.items()}
    entries = [{"name": "a", "inputs": [str(paths["a"])]}]
    entries += [{"name": "b", "inputs": [str(paths["b"])], "deduplicate": ["documents"]}]
    config = CorpusBuildConfig(
        tokenizer=str(t5_folder), sources=entries, output=str(tmp_path / "out"), workers=1, deduplicate={}
    )
    steps = json.loads((build(config) / "flow.json").read_text())["steps"]
    assert [step["documents"] for step in steps if step["step"] == "tokenize"] == [1, 2]


@pytest.mark.parametrize("kind", ["paragraph", "near copy", "copy"])
def test_nothing_goes_for_a_contaminated_document(tmp_path: Path, t5_folder: Path, kind: str) -> None:
    leak = "这是测试集里的一句话经济社会发展很好不是再说一说"
    write_jsonl(tmp_path / "test.jsonl", [leak])
    article = "".join(make_texts(1, 4, 300)).replace("\n", "。")
    other = {"paragraph": f"{LINES[3]}\n{article}", "near copy": article, "copy": f" {article}\n"}[kind]
    first = {
        "paragraph": f"{LINES[0]}\n{article}\n{leak}",
        "near copy": article + leak,
        "copy": f"{article}\n{leak}",
    }[kind]
    texts, steps = built(
        tmp_path,
        t5_folder,
        {"a": [first, LINES[1]], "b": [other]},
        decontaminate={"inputs": [str(tmp_path / "test.jsonl")]},
        deduplicate={"paragraphs": True},
    )
    assert steps["decontaminate"]["documents"] == 1
    assert any("".join(article.split())[:40] in text for text in texts)


def test_what_paragraph_removal_joins_is_looked_through_again(tmp_path: Path, t5_folder: Path) -> None:
    """Two lines that stand around a repeated one are an evaluation text when it is gone."""
    before, after = "今天我们去北京看火车", "老师和学生在医院学习"
    write_jsonl(tmp_path / "test.jsonl", [before + after])
    texts, steps = built(
        tmp_path,
        t5_folder,
        {"a": [LINES[0] + "\n" + LINES[1], f"{before}\n{LINES[0]}\n{after}"]},
        decontaminate={"inputs": [str(tmp_path / "test.jsonl")]},
    )
    assert not any(before + after in text for text in texts)
    assert steps["filtered again"]["details"]["rules"]["evaluation text"]["documents"] == 1


def test_copies_in_other_forms_are_exact_copies(tmp_path: Path, t5_folder: Path) -> None:
    text = "第①篇:iPhone ﬁ ガス 2024年３月,很好。" + LINES[0]
    forms = [
        text,
        f"\u3000{text}\n",
        text.replace("①", "1"),
        text.replace(" ", "\u3000 "),
        text.replace("ﬁ", "f\u200bi"),
    ]
    forms += [text.replace("2024", "２０２４"), text.replace("ガ", "カ\u3099"), text.replace("ガス", "ｶﾞｽ")]
    texts, steps = built(
        tmp_path, t5_folder, {"a": forms[::2], "b": [*forms[1::2], LINES[2]]}, deduplicate={"near": False}
    )
    assert len(texts) == 2
    assert steps["exact duplicates"]["documents"] == len(forms) - 1


@pytest.mark.parametrize("shuffle", [True, False])
def test_no_form_of_a_document_is_on_both_sides(tmp_path: Path, t5_folder: Path, shuffle: bool) -> None:
    texts = make_texts(60, 3)
    forms = [f"  {text}\n" for text in texts] + [
        text.replace("第", "\u200b第").replace(",", "，") for text in texts
    ]
    sources = {"a": texts, "b": forms, "c": [text.replace(" ", "  ").replace("1", "１") for text in texts]}
    folder = make_corpus(
        tmp_path / "corpus", t5_folder, sources, validation_fraction=0.3, shuffle=shuffle, shard_bytes=5000
    )
    sides = [rows(folder, split) for split in ("train", "validation")]
    assert sum(map(len, sides)) == 240
    assert len(set(sides[1])) > 5
    assert not set(sides[0]) & set(sides[1])


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_side_is_filled_with_all_copies(tmp_path: Path, t5_folder: Path, shuffle: bool) -> None:
    """The document that keeps a side from being empty changes it everywhere, in other sources too."""
    few = make_texts(4, 3)
    sources = {"a": few, "b": [*make_texts(40, 5), *(f" {text}" for text in few)]}
    common = {"validation_fraction": 1e-9, "shuffle": shuffle, "shard_bytes": 3000}
    folder = make_corpus(tmp_path / "corpus", t5_folder, sources, **common)
    train, validation = (rows(folder, split) for split in ("train", "validation"))
    assert not set(train) & set(validation)
    assert len(train) + len(validation) == 48
    assert {shard.entry.source for shard in open_corpus(folder, "validation").shards} == {"a", "b"}
    before = {path.name: path.read_bytes() for path in folder.glob("*.bin")}
    for path in [*folder.glob("validation-b-*.json"), folder / "corpus.json"]:
        path.unlink()
    entries = [{"name": name, "inputs": [str(tmp_path / f"corpus-{name}.jsonl")]} for name in sources]
    values = {"tokenizer": str(t5_folder), "sources": entries, "output": str(folder), "workers": 1} | common
    build(CorpusBuildConfig.model_validate(values))
    assert {path.name: path.read_bytes() for path in folder.glob("*.bin")} == before


def rows(folder: Path, split: Any) -> list[tuple[int, ...]]:
    """Tokens of every document of a side."""
    return [
        tuple(shard.reader.document(number).tolist())
        for shard in open_corpus(folder, split).shards
        for number in range(shard.entry.documents)
    ]


@pytest.mark.parametrize(("corpus", "source"), [("documents", "near"), ("near", "documents")])
def test_a_source_that_asks_for_other_copies_than_the_corpus_takes_no_part(
    tmp_path: Path, t5_folder: Path, corpus: str, source: str
) -> None:
    paths = [write_jsonl(tmp_path / f"{name}.jsonl", ["\n".join(LINES)] * 2) for name in "ab"]
    entries = [{"name": "a", "inputs": [str(paths[0])]}]
    entries += [{"name": "b", "inputs": [str(paths[1])], "deduplicate": [source]}]
    kinds = {"documents": corpus == "documents", "near": corpus == "near"}
    config = CorpusBuildConfig(
        tokenizer=str(t5_folder), sources=entries, output=str(tmp_path / "out"), workers=1, deduplicate=kinds
    )
    steps = json.loads((build(config) / "flow.json").read_text())["steps"]
    assert [step["documents"] for step in steps if step["step"] == "tokenize"] == [1, 2]
