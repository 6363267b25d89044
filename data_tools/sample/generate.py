"""The text of the demo, made from facts of the world: the same bytes every time.

facts.jsonl         documents of one or two sentences, each a fact in a wording (relations.py)
essays.jsonl        the essays written by hand
glossary.jsonl      lists of all names, and the wordings without names: a vocabulary is learned from this and the essays
lexicons/TYPE.txt   the names of each type, to annotate a corpus with
blanks.jsonl        held-out sentences with a blank for what is asked, and the answer
"""

import random
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, cycle, islice, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import orjson
import yaml

from taixue.base import files

from .relations import Relation, Sentence, relations

HERE = Path(__file__).parent
BLANK = "<extra_id_0>"
_SEED = 1
_PASSES = 160  # how often each fact is told
_LISTS, _OUTLINES = 40, 4  # how often each name and each wording is in the glossary
_DOCUMENT = (1, 2)  # fewest and most sentences
_OPENED = 0.2  # part of the statements that something stands before
_BEGINNINGS = ("{", "“{", "《{")  # of statements that something may stand before
_FIRST_BLANK = "中国"
_BLANKS = 100  # of each kind

T = TypeVar("T")


def generate(out: Path) -> Path:
    """Write the files above into a folder, which is made where it is missing; return it."""
    lexicons = out / "lexicons"
    lexicons.mkdir(parents=True, exist_ok=True)
    _write(out / "facts.jsonl", ({"text": text} for text in documents()))
    files.write(out / "essays.jsonl", b"".join(path.read_bytes() for path in sorted(HERE.glob("*.jsonl"))))
    _write(out / "glossary.jsonl", ({"text": text} for text in glossary()))
    for kind, terms in names().items():
        files.write(lexicons / f"{kind}.txt", "".join(f"{term}\n" for term in terms).encode())
    _write(out / "blanks.jsonl", blanks())
    return out


def documents() -> Iterator[str]:
    """Documents about facts of all relations in random order. No fact is told again before all others are."""
    draw = random.Random(_SEED)
    told = [cycle(_shuffled(one.told(a), draw)) for one in relations().values() for a in one.facts]
    sentences = (next(turn) for _ in range(_PASSES) for turn in _shuffled(told, draw))
    fewest, most = _DOCUMENT
    while part := list(islice(sentences, fewest + int(draw.random() * (most - fewest + 1)))):
        yield "".join(_opened(sentence, draw) for sentence in part)


def glossary() -> Iterator[str]:
    """Lists of the names of each type, and the wordings of training without names."""
    draw = random.Random(_SEED)
    for _ in range(_LISTS):
        for terms in names().values():
            yield "、" + "、".join(_shuffled(terms, draw)) + "。"
    for _ in range(_OUTLINES):
        for relation in relations().values():
            yield "".join(wording.format(a="…", b="…") for wording in relation.wordings)
    yield "".join(openers())


def names() -> dict[str, list[str]]:
    """The names of all facts by type of entity, each name once."""
    found: dict[str, dict[str, None]] = {}
    for relation in relations().values():
        for kind, terms in zip(relation.types, (relation.facts, relation.facts.values()), strict=True):
            found.setdefault(kind, {}).update(dict.fromkeys(terms))
    return {kind: list(found[kind]) for kind in sorted(found)}


def blanks() -> Iterator[dict[str, str]]:
    """100 facts in held-out wordings, the capital of China first, then 100 held-out pairs; of all relations in turn."""
    for kind, held_out in (("wording", Relation.in_held_out_wordings), ("pair", Relation.held_out_pairs)):
        draw = random.Random(_SEED)
        asked = (
            [one for one in held_out(relation) if one.has_one_blank] for relation in relations().values()
        )
        queues = [_shuffled(sentences, draw) for sentences in asked]
        known = relations()["capital"]
        first = [one for one in held_out(known) if one.a == _FIRST_BLANK][:1]
        turns = (one for turn in zip_longest(*queues) for one in turn if one and one not in first)
        for one in islice(chain(first, turns), _BLANKS):
            yield {
                "kind": kind,
                "relation": one.relation,
                "text": one.with_blank(BLANK),
                "answer": one.b,
                "most_frequent": relations()[one.relation].most_frequent,
            }


def _opened(sentence: Sentence, draw: random.Random) -> str:
    text = str(sentence)
    if not sentence.wording.startswith(_BEGINNINGS) or draw.random() >= _OPENED:
        return text
    return openers()[int(draw.random() * len(openers()))] + text


@cache
def openers() -> tuple[str, ...]:
    """What may stand before a statement."""
    return tuple(yaml.safe_load((HERE / "openers.yaml").read_text("utf-8")))


def _shuffled(items: Sequence[T], draw: random.Random) -> list[T]:
    """By Fisher and Yates, from random() alone: the other methods of Random may change with Python."""
    out = list(items)
    for last in range(len(out) - 1, 0, -1):
        other = int(draw.random() * (last + 1))
        out[last], out[other] = out[other], out[last]
    return out


def _write(path: Path, records: Iterator[dict[str, Any]]) -> None:
    files.write(path, b"".join(orjson.dumps(record) + b"\n" for record in records))
