"""The build through all passes: what is removed, and that workers, ranks and the memory bound change no byte."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from taixue import UserError
from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig
from taixue.data_tools.shards import manifest, sidecar
from taixue.data_tools.shards.corpus import open_corpus
from taixue.data_tools.tokenizer.store import load_tokenizer

from ..texts import make_texts, write_jsonl

BOILERPLATE = "老师医院火车农村春天问题社会经济发展技术公司工作学习天气。"


def planted(folder: Path) -> dict[str, list[str]]:
    """Two sources with exact copies, near copies, a repeated paragraph and contaminated documents."""
    choose = random.Random(5)
    originals = [
        text + "\n" + BOILERPLATE if number % 9 == 0 else text
        for number, text in enumerate(make_texts(260, 1, 120))
    ]
    longest = max(originals, key=len)
    exact = choose.sample(originals, 20)
    near = [
        longest[:-4] + "改了",
        *(text[:-6] + "完了。" for text in choose.sample([t for t in originals if len(t) > 150], 20)),
    ]
    leaked = [f"{text}这是测试集里的一句很长的话,它不该出现在训练语料里。" for text in make_texts(6, 77)]
    web = originals[:200] + near + leaked[:3]
    news = originals[200:] + exact + leaked[3:]
    choose.shuffle(web)
    write_jsonl(folder / "web" / "a.jsonl", web[:150])
    write_jsonl(folder / "web" / "b.jsonl", web[150:])
    write_jsonl(folder / "news.jsonl", news)
    write_jsonl(folder / "eval" / "test.jsonl", ["这是测试集里的一句很长的话,它不该出现在训练语料里。", "短"])
    return {"web": web, "news": news, "near": near, "exact": exact, "leaked": leaked, "originals": originals}


def settings(folder: Path, tokenizer: Path, output: str, **changes: object) -> CorpusBuildConfig:
    """All passes on; several input shards."""
    values = {
        "tokenizer": str(tokenizer),
        "sources": [
            {"name": "web", "inputs": [str(folder / "web")]},
            {"name": "news", "inputs": [str(folder / "news.jsonl")]},
        ],
        "output": str(folder / output),
        "validation_fraction": 0.1,
        "shard_bytes": 30_000,
        "workers": 1,
        "normalize": {},
        "deduplicate": {"paragraphs": True},
        "decontaminate": {"inputs": [str(folder / "eval")]},
        "shuffle": True,
    }
    return CorpusBuildConfig.model_validate(values | changes)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def documents(folder: Path, tokenizer: Path) -> dict[str, list[str]]:
    """Texts by source, as the tokens give them."""
    loaded = load_tokenizer(tokenizer)
    found: dict[str, list[str]] = {}
    for split in ("train", "validation"):
        for shard in open_corpus(folder, split, digests=True).shards:  # type: ignore[arg-type]
            shard.reader.check_tables()
            for number in range(shard.entry.documents):
                ids = shard.reader.document(number)
                assert ids[-1] == loaded.eos_id
                found.setdefault(shard.entry.source, []).append(loaded.decode(ids[:-1]))
    return found


def test_copies_repeats_and_contamination_go(tmp_path: Path, t5_folder: Path) -> None:
    planted(tmp_path)
    folder = build(settings(tmp_path, t5_folder, "corpus"))
    found = documents(folder, t5_folder)
    everything = found["web"] + found["news"]
    assert len(everything) == len(set(everything))
    flow = json.loads((folder / "flow.json").read_text())
    removed = {(step["step"], step["source"]): step["removed_documents"] for step in flow["steps"]}
    assert removed["exact duplicates", "news"] == 20
    assert removed["near duplicates", "web"] + removed["near duplicates", "news"] == 21
    assert removed["decontaminate", "web"] == removed["decontaminate", "news"] == 3
    assert len(everything) == 260
    # The paragraph stays once, in the first document that has it.
    assert sum("医院火车农村春天" in text for text in everything) == 1
    last = {step["source"]: step for step in flow["steps"]}
    for source, step in last.items():
        assert step["step"] == "tokenize"
        assert step["documents"] == len(found[source])
    assert sum(step["removed_bytes"] for step in flow["steps"]) > 0
    listed = [
        json.loads(line)
        for file in (folder / "decontaminated").iterdir()
        for line in file.read_text().splitlines()
    ]
    assert len(listed) == 6
    assert all("这是测试集里的一句很长" in entry["shared"] for entry in listed)
    assert not (folder / "work").exists()
    sample = flow["samples"]["near duplicates"][0]
    assert len(sample["kept"]["text"]) >= len(sample["removed"]["text"])


def test_of_copies_the_better_one_stays(tmp_path: Path, t5_folder: Path) -> None:
    """The source listed first, then the longest, then the first in the inputs."""
    base = make_texts(4, 3, 200)
    longer = base[0] + "补充一句。"
    write_jsonl(tmp_path / "a.jsonl", [base[0], longer, base[1], base[2] + "尾"])
    write_jsonl(tmp_path / "b.jsonl", [base[1] + "在第二个来源里更长。", base[2], base[3], base[3]])
    for order, kept in (
        ("ab", [longer, base[1], base[2] + "尾", base[3]]),
        ("ba", [longer, base[1] + "在第二个来源里更长。", base[2], base[3]]),
    ):
        config = settings(
            tmp_path,
            t5_folder,
            order,
            sources=[{"name": name, "inputs": [str(tmp_path / f"{name}.jsonl")]} for name in order],
            validation_fraction=0,
            normalize=None,
            deduplicate={},
            decontaminate=None,
            shuffle=False,
        )
        found = documents(build(config), t5_folder)
        loaded = load_tokenizer(t5_folder)
        expected = sorted(loaded.decode(ids) for ids in loaded.encode(kept))
        assert sorted(text for texts in found.values() for text in texts) == expected


@pytest.mark.parametrize("shuffle", [True, False])
def test_workers_ranks_and_memory_change_nothing(tmp_path: Path, t5_folder: Path, shuffle: bool) -> None:
    planted(tmp_path)
    one = contents(build(settings(tmp_path, t5_folder, "one", shuffle=shuffle)))
    assert len([name for name in one if name.startswith("train-web")]) > 3 * 3
    assert contents(build(settings(tmp_path, t5_folder, "two", shuffle=shuffle, workers=2))) == one
    small = {"paragraphs": True, "memory_mb": 16}
    assert contents(build(settings(tmp_path, t5_folder, "small", shuffle=shuffle, deduplicate=small))) == one
    for world in (2, 4):
        config = settings(tmp_path, t5_folder, f"ranks{world}", shuffle=shuffle)
        run_ranks(config, world)
        assert contents(tmp_path / f"ranks{world}") == one


def run_ranks(config: CorpusBuildConfig, world: int) -> None:
    """All ranks as processes of their own."""
    code = (
        "import sys; from taixue.data_tools.build.builder import build;"
        "from taixue.data_tools.config import CorpusBuildConfig as C;"
        "build(C.model_validate_json(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))"
    )
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", code, config.model_dump_json(), str(rank), str(world)],
            stdout=subprocess.DEVNULL,
        )
        for rank in range(world)
    ]
    try:
        assert [rank.wait(timeout=200) for rank in ranks] == [0] * world
    finally:
        for rank in ranks:
            rank.kill()


def test_a_shuffle_is_a_permutation_over_all_shards(tmp_path: Path, t5_folder: Path) -> None:
    texts = make_texts(400, 4)
    write_jsonl(tmp_path / "a.jsonl", texts)
    common = {
        "sources": [{"name": "a", "inputs": [str(tmp_path / "a.jsonl")]}],
        "normalize": None,
        "deduplicate": None,
        "decontaminate": None,
    }
    folder = build(settings(tmp_path, t5_folder, "shuffled", **common))
    plain = build(settings(tmp_path, t5_folder, "plain", **common, shuffle=False))
    found, expected = documents(folder, t5_folder)["a"], documents(plain, t5_folder)["a"]
    assert sorted(found) == sorted(expected)
    assert found != expected
    other = documents(build(settings(tmp_path, t5_folder, "other", **common, seed=2)), t5_folder)["a"]
    assert other != found
    # Neighbours come from everywhere: the input shards of the documents of one output shard.
    places = {text: number for number, text in enumerate(expected)}
    first = manifest.read_corpus(folder).shards[0].documents
    assert max(places[text] for text in found[:first]) - min(places[text] for text in found[:first]) > 250


def test_both_splits_get_a_document(tmp_path: Path, t5_folder: Path) -> None:
    for fraction in (1e-9, 1 - 1e-9):
        for shuffle in (True, False):
            output = f"{fraction}-{shuffle}"
            write_jsonl(tmp_path / "a.jsonl", make_texts(30, 8))
            config = settings(
                tmp_path,
                t5_folder,
                output,
                sources=[{"name": "a", "inputs": [str(tmp_path / "a.jsonl")]}],
                decontaminate=None,
                validation_fraction=fraction,
                shuffle=shuffle,
                shard_bytes=3000,
            )
            folder = build(config)
            counts = {"train": 0, "validation": 0}
            for shard in manifest.read_corpus(folder).shards:
                counts[shard.split] += shard.documents
            assert sorted(counts.values()) == [1, 29]


def test_annotation_follows_its_tokens(tmp_path: Path, t5_folder: Path) -> None:
    """Rows of a shuffled corpus are those of its documents in the unshuffled one."""
    texts = ["因为今天天气很好,所以我们去北京。", *make_texts(80, 6)]
    write_jsonl(tmp_path / "a.jsonl", texts)
    common = {
        "sources": [{"name": "a", "inputs": [str(tmp_path / "a.jsonl")]}],
        "deduplicate": None,
        "decontaminate": None,
        "annotate": {},
    }
    found = []
    for shuffle in (True, False):
        folder = build(settings(tmp_path, t5_folder, f"s{shuffle}", **common, shuffle=shuffle))
        rows = {}
        for split in ("train", "validation"):
            for shard in open_corpus(folder, split, digests=True).shards:  # type: ignore[arg-type]
                reader = sidecar.Reader(folder / shard.entry.name)
                assert len(reader.rows) == shard.entry.tokens
                assert shard.entry.ann_sha256
                for number in range(shard.entry.documents):
                    ids = shard.reader.document(number)
                    begin = int(shard.reader.offsets[number]) // shard.reader.dtype.itemsize
                    rows[ids.tobytes()] = reader.rows[begin : begin + len(ids)].tobytes()
        found.append(rows)
    assert found[0] == found[1]
    assert any(any(row) for row in found[0].values())


def test_a_corpus_with_nothing_left_is_an_error(tmp_path: Path, t5_folder: Path) -> None:
    planted(tmp_path)
    filters = {"rules": [{"name": "long", "measure": "characters", "minimum": 100000}]}
    with pytest.raises(
        UserError, match=r"source 'web': 0 documents are left of 224: 'long' took 224; its inputs: "
    ):
        build(settings(tmp_path, t5_folder, "corpus", filters=filters))
    assert not (tmp_path / "corpus" / "corpus.json").exists()


def test_a_rank_that_is_alone_says_so(tmp_path: Path, t5_folder: Path) -> None:
    planted(tmp_path)
    with pytest.raises(
        UserError, match=r"rank 0 waits for pass 'clean': \d+ tasks of ranks 1 .* 0\.01 minutes"
    ):
        build(settings(tmp_path, t5_folder, "corpus", wait_minutes=0.01), 0, 2)
