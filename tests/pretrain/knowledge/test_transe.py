"""Triples are read or refused by line; TransE finds held-out triples of a graph that it can represent."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from taixue import UserError
from taixue.launch.cli import main
from taixue.pretrain.knowledge import Graph, Vectors, load_vectors, read_triples
from taixue.pretrain.knowledge.transe import TransE, rank, train_vectors
from taixue.pretrain.knowledge.vectors import save_vectors


def clusters() -> str:
    """People of 12 families; each family has a place of its own for each of three relations."""
    lines = [f"人{i}之{m}\t关系{k}\t地{i}之{k}" for i in range(12) for m in range(6) for k in range(3)]
    return "\n".join(["# a comment", "", *lines, lines[-1]])


def test_triples_are_read_once_each(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(
        "﻿长江\t流经\t武汉\n\n# 注\n黄河 \t流经\t郑州\n长江\t流经\t武汉\n", encoding="utf-8"
    )
    graph = read_triples(tmp_path / "t.tsv")
    assert graph.entities == ("长江", "武汉", "黄河", "郑州")
    assert graph.relations == ("流经",)
    assert graph.triples.tolist() == [[0, 0, 1], [2, 0, 3]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tr\tb\na\tr\n", "line 2: 2 columns; expected 3"),
        (b"a\tr\tb\tc\n", "line 1: 4 columns"),
        (b"a\t \tb\n", "line 1: the relation is empty"),
        (b"a\tr\tb\n\n\xff\tr\tb\n", "line 3: not UTF-8"),
        (b"# nothing\n\n", "no triple in 2 lines"),
        (b"", "no triple in 0 lines"),
        (None, "cannot be read: No such file"),
        (b"a\tr\tb\n", "2 entities are too few"),
    ],
)
def test_mistakes_are_answered_with_the_line(
    content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "t.tsv").write_bytes(content)
    assert main(["knowledge", "transe", str(tmp_path / "t.tsv"), str(tmp_path / "out")]) == 2
    assert message in re.sub(r"\s+", " ", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_held_out_triples_are_found_and_the_same_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.tsv").write_text(clusters(), encoding="utf-8")
    words = ["knowledge", "transe", str(tmp_path / "t.tsv")]
    options = ["--width", "16", "--epochs", "60", "--held-out", "0.1"]
    for name in ("a", "b"):
        assert main([*words, str(tmp_path / name), *options]) == 0
    found = re.search(
        r"21 held-out .* hits@10 ([\d.]+) .* MRR ([\d.]+)", capsys.readouterr().out.replace("\n", " ")
    )
    assert found is not None
    assert float(found[1]) > 0.8  # chance: 0.09
    assert float(found[2]) > 0.5
    for file in ("vectors.safetensors", "graph.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    vectors = load_vectors(tmp_path / "a")
    assert vectors.width == 16
    assert vectors.graph.entities == read_triples(tmp_path / "t.tsv").entities
    assert np.allclose(np.linalg.norm(vectors.entities, axis=1), 1, atol=1e-5)


def test_true_triples_do_not_compete() -> None:
    graph = Graph(("a", "b", "c", "d"), ("r",), np.array([[0, 0, 1], [0, 0, 2]]))
    entities = np.array([[0, 0], [1.1, 0], [1, 0], [1.05, 0.01]], np.float32)
    vectors = Vectors(graph, entities, np.array([[1, 0]], np.float32))
    # tail b: c is nearer but true, d competes: rank 2; head a of b (at b - r = 0.1): nearest of all
    assert rank(vectors, graph.triples[:1]).mrr == pytest.approx((1 / 2 + 1) / 2)


def test_margin_and_negatives_change_what_is_learned() -> None:
    graph = Graph(tuple("abcdef"), ("r",), np.array([[0, 0, 1], [1, 0, 2], [2, 0, 3], [3, 0, 4], [4, 0, 5]]))
    one, _ = train_vectors(graph, TransE(width=4, epochs=3, held_out=0.0))
    other, ranking = train_vectors(graph, TransE(width=4, epochs=3, held_out=0.0, margin=2.0))
    assert ranking.triples == 0
    assert not np.array_equal(one.entities, other.entities)
    assert torch.isfinite(torch.from_numpy(other.entities)).all()


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder of vectors"):
        load_vectors(tmp_path)
    graph = Graph(("a", "b", "c"), ("r",), np.array([[0, 0, 1]]))
    save_vectors(Vectors(graph, np.ones((2, 4), np.float32), np.ones((1, 4), np.float32)), tmp_path, {})
    with pytest.raises(UserError, match="2 and 1 vectors for 3 entities and 1 relations"):
        load_vectors(tmp_path)
    (tmp_path / "graph.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        load_vectors(tmp_path)
