"""The demo's text: the same bytes every time, well-formed tables, and nothing of what is held out."""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from taixue.data_tools.sample import generate, relations
from taixue.data_tools.sample.generate import BLANK
from taixue.data_tools.sample.relations import Relation

LEXICONS = {"number", "person", "place", "term", "time"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("text"))


@cache
def texts(path: Path) -> str:
    return "\n".join(json.loads(line)["text"] for line in path.read_text("utf-8").splitlines())


def everything(folder: Path) -> str:
    """All made text: what a model learns from, and the glossary. Essays are for the vocabulary alone."""
    return "\n".join(texts(folder / name) for name in ("facts.jsonl", "glossary.jsonl"))


def test_same_bytes_every_time(folder: Path, tmp_path: Path) -> None:
    generate(tmp_path)
    made = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert made == again
    assert {path.stem for path in folder.glob("lexicons/*")} == LEXICONS


@pytest.mark.parametrize("relation", relations().values(), ids=lambda relation: relation.name)
def test_tables(relation: Relation) -> None:
    wordings = relation.wordings + relation.held_out
    assert len(set(wordings)) == len(wordings)
    assert len(relation.held_out) >= 3
    assert len(relation.wordings) >= 10
    assert set(relation.types) <= LEXICONS
    for wording in wordings:
        assert wording.count("{a}") >= 1
        assert wording.count("{b}") >= 1
        assert wording.endswith(("。", "”"))
        assert wording.count("“") == wording.count("”")
        assert not re.search(r"[,?!;:\s]", wording)
    for a, b in relation.facts.items():
        assert a
        assert b
        assert a != b
        assert len(relation.told(a)) >= 4
    outlines = {wording.replace("{b}", "{a}") for wording in relation.wordings}
    for held_out in relation.held_out:  # an opener and a wording of training are no new wording
        assert held_out.replace("{b}", "{a}") not in outlines
        assert not any(held_out.endswith(wording) for wording in relation.wordings)


@pytest.mark.parametrize("relation", relations().values(), ids=lambda relation: relation.name)
def test_held_out_wordings_are_nowhere(folder: Path, relation: Relation) -> None:
    """Not for any two names of the relation, be they a fact or not."""
    parts = ("|".join(map(re.escape, names)) for names in (relation.facts, relation.facts.values()))
    names = {name: f"(?:{part})" for name, part in zip("ab", parts, strict=True)}
    for wording in relation.held_out:
        pattern = re.escape(wording).replace(r"\{", "{").replace(r"\}", "}").format_map(names)
        found = re.search(pattern, everything(folder))
        assert found is None, found[0]


def test_held_out_pairs_are_nowhere(folder: Path) -> None:
    text = everything(folder)
    pairs = [str(pair) for relation in relations().values() for pair in relation.held_out_pairs()]
    told = [
        str(pair) for relation in relations().values() for a in relation.facts for pair in relation.told(a)
    ]
    assert 0.15 < len(pairs) / (len(pairs) + len(told)) < 0.25
    assert not set(pairs) & set(re.split(r"(?<=。)|\n", texts(folder / "facts.jsonl")))
    assert [pair for pair in pairs if pair in text and not any(pair in other for other in told)] == []


def test_every_fact_is_told(folder: Path) -> None:
    text = texts(folder / "facts.jsonl")
    for relation in relations().values():
        for a in relation.facts:
            assert sum(str(sentence) in text for sentence in relation.told(a)) >= 4


def test_no_fact_contradicts_another() -> None:
    """Chains come back to where they begin; opposites are mutual; seats, capitals and symbols belong to one alone."""
    facts = {name: relation.facts for name, relation in relations().items()}
    for name in (
        "next_month",
        "weekday_tomorrow",
        "weekday_later",
        "zodiac_next",
        "solar_term_next",
        "opposite",
    ):
        assert set(facts[name]) == set(facts[name].values()), name
    for name in ("capital", "seat", "abbreviation", "element_symbol", "courtesy_name", "city_nickname"):
        assert len(set(facts[name].values())) == len(facts[name]), name
    assert all(facts["opposite"][b] == a for a, b in facts["opposite"].items())
    days = facts["weekday_tomorrow"]
    assert all(days[days[a]] == b for a, b in facts["weekday_later"].items())


def test_blanks(folder: Path) -> None:
    blanks = [json.loads(line) for line in (folder / "blanks.jsonl").read_text("utf-8").splitlines()]
    assert [blank["kind"] for blank in blanks] == ["wording"] * 100 + ["pair"] * 100
    assert (blanks[0]["text"], blanks[0]["answer"]) == (f"中国的首都是{BLANK}。", "北京")
    assert len({blank["text"] for blank in blanks}) == 200
    assert {blank["relation"] for blank in blanks[:100]} == set(relations())
    held_out = {"wording": Relation.in_held_out_wordings, "pair": Relation.held_out_pairs}
    for blank in blanks:
        relation = relations()[blank["relation"]]
        sentences = {one.with_blank(BLANK): one.b for one in held_out[blank["kind"]](relation)}
        assert sentences[blank["text"]] == blank["answer"]
        assert blank["text"].count(BLANK) == 1
        assert blank["most_frequent"] in relation.facts.values()
