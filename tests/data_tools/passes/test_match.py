"""Near copies: what is found and what is not, measured against all pairs; runs on disk; contamination."""

import random
from itertools import combinations
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taixue import UserError
from taixue.data_tools import native
from taixue.data_tools.build.needed import schedule
from taixue.data_tools.config import CorpusBuildConfig, DecontaminateConfig, DeduplicateConfig
from taixue.data_tools.passes import components, fingerprint, runs
from taixue.data_tools.passes.clean import CleanTask
from taixue.data_tools.passes.contamination import EvaluationSets
from taixue.data_tools.passes.cut import plan
from taixue.data_tools.passes.texts import TextWriter, read_text, read_texts
from taixue.data_tools.tokenizer.store import load_tokenizer

from ..texts import write_jsonl

COLUMNS = {"key": "<u8", "value": "<u4"}


def _grams(text: str) -> set[str]:
    letters = "".join(character for character in text if character.isalnum())
    return {letters[place : place + 5] for place in range(len(letters) - 4)}


def _texts(count: int) -> list[str]:
    """Random texts, each with a copy edited in more or fewer places."""
    choose = random.Random(3)
    alphabet = [chr(code) for code in range(0x4E00, 0x4E00 + 900)]
    out = []
    for _ in range(count):
        text = choose.choices(alphabet, k=choose.randint(120, 500))
        copy = list(text)
        for _ in range(
            max(1, int(len(text) * choose.choice([0.004, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12]) / 2))
        ):
            copy[choose.randrange(len(copy))] = choose.choice(alphabet)
        out += ["".join(text), "".join(copy)]
    choose.shuffle(out)
    return out


def test_near_copies_against_all_pairs(tmp_path: Path, t5_folder: Path) -> None:
    if not native.is_native():
        pytest.skip("too slow without the C++ extension")
    texts = _texts(400)
    write_jsonl(tmp_path / "a.jsonl", texts)
    config = CorpusBuildConfig.model_validate(
        {
            "tokenizer": str(t5_folder),
            "sources": [{"name": "a", "inputs": [str(tmp_path / "a.jsonl")]}],
            "output": str(tmp_path / "corpus"),
            "shard_bytes": 150_000,
            "deduplicate": {},
        }
    )
    shards = tuple(plan(config, load_tokenizer(t5_folder)))
    assert len(shards) > 3
    passes = schedule(shards)
    for name in ("clean", "match"):
        current = next(passes)
        assert current.name == name
        for task in current.tasks:
            assert not task.is_finished()
            list(task.run())
            assert task.is_finished()
    joined = set()
    begins = np.cumsum(
        [0, *(CleanTask(shard).shard.work("clean", ".length").stat().st_size // 4 for shard in shards)]
    )
    for pairs in components.read_pairs(sorted((tmp_path / "corpus" / "work").rglob("*pairs"))):
        places = begins[(pairs >> np.uint64(32)).astype(int)] + (pairs & np.uint64(0xFFFFFFFF)).astype(int)
        joined |= {tuple(sorted(pair)) for pair in places.tolist()}
    grams = [_grams(text) for text in texts]
    similar, missed, wrong = 0, 0, 0
    for left, right in combinations(range(len(texts)), 2):
        shared = len(grams[left] & grams[right])
        jaccard = shared / (len(grams[left]) + len(grams[right]) - shared)
        similar += jaccard >= 0.8
        missed += jaccard >= 0.8 and (left, right) not in joined
        wrong += jaccard < 0.5 and (left, right) in joined
    assert similar > 150
    assert missed <= similar * 0.01
    assert wrong == 0


def test_the_sketch_estimates_similarity() -> None:
    config = DeduplicateConfig()
    text = "".join(chr(0x4E00 + number) for number in range(1000))
    left, right = text[:800], text[200:]  # 600 of 1000 characters shared
    _, sketches, has = fingerprint.near([left, right, "。"], config)
    assert has.tolist() == [True, True, False]
    assert fingerprint.similarity(sketches[:1], sketches[1:2])[0] == pytest.approx(0.6, abs=0.15)
    with pytest.raises(ValueError, match="bands 18 must divide permutations 100"):
        DeduplicateConfig(permutations=100)


@given(st.lists(st.lists(st.integers(0, runs.END - 1), max_size=20), max_size=4), st.integers(1, 5))
def test_runs_give_back_every_range(parts: list[list[int]], count: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "rows"
        writer = runs.RunWriter(path, COLUMNS)
        for part in parts:
            writer.add({"key": np.array(part, np.uint64), "value": np.arange(len(part), dtype=np.uint32)})
        writer.finish()
        found = []
        for low, high in runs.ranges(count):
            for rows in runs.RunFile(path, COLUMNS).slices(low, high):
                assert (np.diff(rows["key"].astype(object)) >= 0).all()
                assert all(low <= key < high for key in rows["key"].tolist())
                found += list(zip(rows["key"].tolist(), rows["value"].tolist(), strict=True))
        assert sorted(found) == sorted((key, place) for part in parts for place, key in enumerate(part))


def test_texts_come_back(tmp_path: Path) -> None:
    blocks = [["一".encode(), b"", b"x\n\0y"], [], [b"z" * 100_000]]
    paths = tmp_path / "text", tmp_path / "length"
    writer = TextWriter(*paths)
    for block in blocks:
        writer.add(block, np.fromiter(map(len, block), np.int64, len(block)))
    writer.finish()
    texts = [text for block in blocks for text in block]
    found = list(read_texts(*paths))
    assert [text for batch, _ in found for text in batch] == texts
    assert [size for _, sizes in found for size in sizes.tolist()] == list(map(len, texts))
    assert [read_text(*paths, number) for number in range(len(texts))] == texts
    writer = TextWriter(*paths)
    writer.add([b"z" * 3_000_000] * 5, np.full(5, 3_000_000))
    writer.finish()
    assert [len(batch) for batch, _ in read_texts(*paths)] == [1] * 5


def test_evaluation_sets(tmp_path: Path) -> None:
    folder = tmp_path / "eval"
    write_jsonl(folder / "dev.jsonl", ["这是一道很长的阅读理解题目,请选出正确的答案"], field="sentence")
    (folder / "test_public.json").write_bytes(
        orjson.dumps({"data": [{"paragraphs": [{"context": "另一个文件里的段落也有十三个字以上的内容"}]}]})
    )
    write_jsonl(folder / "unlabeled.json", ["没有标注的数据不算测试集,可以留在语料里面"], field="sentence")
    sets = EvaluationSets(DecontaminateConfig(inputs=(str(folder),), exclude=("unlabeled",)))
    texts = [
        "前面。这是一道很长的阅读理解题目，请选出",
        "这是一道很长的阅读题目",
        "他说:“另一个文件里的段落 也有十三个字”。",
        "没有标注的数据不算测试集,可以留在语料里面",
    ]
    found = [
        (text, Path(sets.files[owner]).name, texts[text][begin:end])
        for text, owner, begin, end in sets.find(texts)
    ]
    assert found == [
        (0, "dev.jsonl", "这是一道很长的阅读理解题目"),
        (2, "test_public.json", "另一个文件里的段落 也有十三"),
    ]
    fewclue = EvaluationSets(DecontaminateConfig(inputs=(str(folder),), preset="fewclue"))
    assert [text for text, *_ in fewclue.find(texts)] == [0, 2]
    with pytest.raises(UserError, match=r"no text in the fields nothing; its fields: .*sentence"):
        EvaluationSets(DecontaminateConfig(inputs=(str(folder / "dev.jsonl"),), fields=("nothing",)))
    (folder / "bad.jsonl").write_text('{"a": "b"}\n{"a": ')
    with pytest.raises(UserError, match=r"bad\.jsonl: line 2: not JSON"):
        EvaluationSets(DecontaminateConfig(inputs=(str(folder),)))
