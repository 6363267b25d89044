"""Which mentions are injected, with what, and that a sample's knowledge depends on nothing but the sample."""

from pathlib import Path

import numpy as np
import pytest

from taixue import UserError
from taixue.base import rng
from taixue.data_tools.config import TokenizerTrainConfig
from taixue.data_tools.tokenizer.store import Tokenizer, load_tokenizer, train
from taixue.pretrain.config.schema import BertConfig, KnowledgeConfig, RunConfig
from taixue.pretrain.knowledge import Graph, Mentions, Vectors, open_knowledge
from taixue.pretrain.knowledge.mentions import Linker
from taixue.pretrain.knowledge.vectors import save_vectors
from taixue.pretrain.objectives.base import IGNORED

NAMES = ("长江", "长江大桥", "武汉", "湖北省", "江")
TRIPLES = np.array([[1, 0, 2], [2, 1, 3], [0, 2, 2]])
GRAPH = Graph(NAMES, ("位于", "属于", "流经"), TRIPLES)
TEXTS = ["武汉的长江大桥很长,游人不断。", "长江在湖北省,大江东去。", "今天没有什么可说的,明天再说。"]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "text.txt").write_text("\n".join(TEXTS * 20), encoding="utf-8")
    config = TokenizerTrainConfig(
        kind="bert",
        inputs=(str(folder / "text.txt"),),
        output=str(folder / "bert"),
        vocab_size=120,
        threads=1,
    )
    return load_tokenizer(str(train(config)))


@pytest.fixture(scope="session")
def vectors() -> Vectors:
    draw = np.random.default_rng(1)
    return Vectors(
        GRAPH, draw.normal(size=(5, 3)).astype(np.float32), draw.normal(size=(3, 3)).astype(np.float32)
    )


def windows(tokenizer: Tokenizer, texts: list[str] = TEXTS) -> np.ndarray:
    ids = [np.concatenate([[tokenizer.cls_id], row]) for row in tokenizer.encode(texts)]
    length = max(map(len, ids))
    return np.stack([np.pad(row, (0, length - len(row)), constant_values=tokenizer.pad_id) for row in ids])


def masked(tokens: np.ndarray, tokenizer: Tokenizer, *places: tuple[int, int]) -> dict[str, np.ndarray]:
    labels, inputs = np.full_like(tokens, IGNORED), tokens.copy()
    for place in places:
        labels[place], inputs[place] = tokens[place], tokenizer.mask_id
    return {"input_ids": inputs, "labels": labels}


def test_the_longest_name_is_found_where_words_begin_and_end(tokenizer: Tokenizer) -> None:
    tokens = windows(tokenizer)
    links = Linker(NAMES, tokenizer)(tokens)
    assert [(row, NAMES[entity]) for row, entity in zip(links.row, links.entity, strict=True)] == [
        (0, "武汉"), (0, "长江大桥"), (1, "长江"), (1, "湖北省"),
    ]  # fmt: skip
    assert (links.begin[:2].tolist(), links.end[:2].tolist()) == ([1, 4], [3, 8])
    words = np.arange(tokens.size).reshape(tokens.shape)
    words[1, 1:4] = 1000  # 长江在 is one word: 长江 ends inside it
    links = Linker(NAMES, tokenizer)(tokens, words)
    assert [NAMES[entity] for entity in links.entity] == ["武汉", "长江大桥", "湖北省"]


def test_an_injected_mention_is_the_triple_seen_from_it(tokenizer: Tokenizer, vectors: Vectors) -> None:
    tokens = windows(tokenizer)
    linker = Linker(NAMES, tokenizer)
    mentions = Mentions(KnowledgeConfig(rare_share=1.0), vectors, linker, np.ones(5))
    keys = rng.derive(np.uint64(3), np.arange(3))
    out = mentions(masked(tokens, tokenizer), keys)
    assert (out["mentions"] > 0).sum() == 2 + 4 + 2 + 3
    assert out["knowledge"].dtype == np.float32
    seen = 0
    for row, position in zip(*np.nonzero(out["mentions"]), strict=True):
        number = out["mentions"][row, position] - 1
        step = out["mention_relations"][row, number]
        # the entity plus the step is the other one, whose tokens are asked for
        other = out["knowledge"][row, position] + step
        (which,) = np.flatnonzero(np.abs(vectors.entities - other).max(1) < 1e-6)
        answer = out["answer_labels"][row, number]
        assert answer[answer != IGNORED].tolist() == linker.tokens[which].tolist()
        seen += 1
    assert seen == 11
    assert not out["knowledge"][out["mentions"] == 0].any()
    # another batch, another order: the same
    again = mentions(masked(tokens[::-1], tokenizer), keys[::-1])
    assert all(np.array_equal(again[name][::-1], out[name]) for name in out)


def test_masked_mentions_stay_as_they_are_and_places_are_limited(
    tokenizer: Tokenizer, vectors: Vectors
) -> None:
    tokens = windows(tokenizer)
    linker = Linker(NAMES, tokenizer)
    keys = rng.derive(np.uint64(3), np.arange(3))
    mentions = Mentions(KnowledgeConfig(rare_share=1.0), vectors, linker, np.ones(5))
    out = mentions(masked(tokens, tokenizer, (0, 5), (1, 9)), keys)
    assert not out["mentions"][0, 4:8].any()
    assert (out["mentions"][0, 1:3] == 1).all()
    few = Mentions(KnowledgeConfig(rare_share=1.0, mentions=1), vectors, linker, np.ones(5))
    out = few(masked(tokens, tokenizer), keys)
    assert out["mentions"].max(1).tolist() == [1, 1, 0]
    assert out["answer_labels"].shape == (3, 1, 8)


def test_rare_and_well_connected_entities_are_chosen(tokenizer: Tokenizer, vectors: Vectors) -> None:
    linker = Linker(NAMES, tokenizer)
    frequency = np.array(
        [10.0, 10, 10, 100, 0]
    )  # 湖北省 is not rare, 江 never found; 武汉 has most neighbours
    chosen = Mentions(KnowledgeConfig(rare_per_million=50, rare_share=0.3), vectors, linker, frequency)
    assert np.flatnonzero(chosen._rare).tolist() == [2]
    with pytest.raises(
        UserError, match=r"less than 5 times in a million tokens; the rarest that does: 10\.0"
    ):
        Mentions(KnowledgeConfig(rare_per_million=5), vectors, linker, frequency)


def test_mistakes_are_answered(tokenizer: Tokenizer, vectors: Vectors, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of the 2 entities has at least 2 tokens"):
        Linker(("江", "鼖鼗"), tokenizer)
    save_vectors(vectors, tmp_path, {})
    run = RunConfig(model=BertConfig(), knowledge=KnowledgeConfig(vectors=str(tmp_path)))
    with pytest.raises(UserError, match=r"knowledge_width: 0, but .* have width 3; set it to 3"):
        open_knowledge(run, tokenizer, windows(tokenizer))
