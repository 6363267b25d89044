"""Rows of the sidecar equal a slow, obvious computation; connectives, entities and other tools' records are found."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.data_tools.annotate import Annotator, merge
from taixue.data_tools.annotate.config import AnnotateConfig, ExternalAnnotation, Lexicon
from taixue.data_tools.annotate.connectives import table
from taixue.data_tools.annotate.layered_text import IS_BLANK, Characters, Layers
from taixue.data_tools.shards import sidecar
from taixue.data_tools.shards.sidecar import Reader, Writer
from taixue.data_tools.tokenizer.base import Tokenizer
from taixue.data_tools.tokenizer.config import TokenizerTrainConfig
from taixue.data_tools.tokenizer.sentencepiece import SentencePieceTokenizer
from taixue.data_tools.tokenizer.store import load_tokenizer, train

from ..texts import make_texts

PARTS = st.lists(
    st.sampled_from(
        [
            *"。，！？；…“”（） \n\t\u3000",
            "因为", "所以", "虽然", "但是", "如果", "北京大学", "我们", "学习", "天气", "很", "好",
            "Python", "3.14", "１２", "㎏", "e\u0301", "𠮷", "�", "\u200b", "\x00", "…", "ﬁ",
        ]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@pytest.fixture(scope="module", params=["t5_folder", "bert_folder"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return load_tokenizer(request.getfixturevalue(request.param))


@pytest.fixture(scope="module")
def t5(t5_folder: Path) -> Tokenizer:
    return load_tokenizer(t5_folder)


def _spans(tokenizer: Tokenizer, text: str) -> list[tuple[int, int]]:
    """[begin, end) of each token by the library's own offsets."""
    if isinstance(tokenizer, SentencePieceTokenizer):
        return tokenizer.processor.encode(text, return_type="offset_mapping")["offsets"]
    return tokenizer.hub.encode(text, add_special_tokens=False).offsets


def _expected(
    tokenizer: Tokenizer, annotator: Annotator, texts: Sequence[str]
) -> list[list[tuple[int, ...]]]:
    """Rows token by token, as sidecar.py describes them."""
    characters = Characters(texts)
    layers = annotator.layers(characters)
    assert layers.word_starts is not None
    assert layers.pos is not None
    rows = []
    for text, base in zip(texts, characters.begins.tolist(), strict=True):
        out: list[tuple[int, ...]] = []
        spans = _spans(tokenizer, text)
        last_word, last_entity, last_connective, was_blank = None, 0, 0, False
        ends = [begin for begin, _ in spans[1:]] + [len(text)]
        for number, (begin, own_end) in enumerate(spans):
            # Of the tokens that one character becomes each has it; the space put before a text has none.
            is_added = number == 0 and own_end == begin
            end = begin if is_added else max(ends[number], begin + 1)
            places = [place for place in range(begin, end) if not _is_space(text[place])]
            flags = entity = connective = pos = 0
            word: object = object()
            entity_number = connective_number = 0
            if places:
                inside = {
                    int(layers.word_starts[: base + place + 1].sum()) for place in (places[0], places[-1])
                }
                if len(inside) == 1:
                    word = inside.pop()
                    pos = int(layers.pos[base + places[0]])
                else:
                    flags |= sidecar.STRADDLES
                for kind in (sidecar.CLAUSE, sidecar.SENTENCE):
                    starts = layers.clause_starts if kind == sidecar.CLAUSE else layers.sentence_starts
                    visible = set()
                    for place in np.flatnonzero(starts[base : base + len(text)]).tolist():
                        while place < len(text) and _is_space(text[place]):
                            place += 1
                        visible.add(place)
                    if any(place in visible for place in range(places[0], places[-1] + 1)):
                        flags |= kind
                entity_number, entity = _held(layers.entities, base + places[0], base + places[-1])
                connective_number, connective = _held(layers.connectives, base + places[0], base + places[-1])
            continues = was_blank and not places and spans[number - 1][0] == begin
            was_blank = not places and not is_added
            if (word != last_word or not places) and not continues:
                flags |= sidecar.UNIT
            if entity_number and entity_number != last_entity:
                flags |= sidecar.ENTITY
            if connective_number and connective_number != last_connective:
                flags |= sidecar.CONNECTIVE
                flags |= sidecar.PAIR_FIRST * bool(layers.firsts[connective_number - 1])
                flags |= sidecar.PAIR_SECOND * bool(layers.seconds[connective_number - 1])
            last_word, last_entity, last_connective = word, entity_number, connective_number
            out.append((flags, pos, entity, connective))
        rows.append(out)
    return rows


def _is_space(character: str) -> bool:
    return bool(IS_BLANK[ord(character)])


def _held(spans: object, first: int, last: int) -> tuple[int, int]:
    for number, (start, end, kind) in enumerate(
        zip(spans.starts, spans.ends, spans.kinds, strict=True),
        1,  # type: ignore[attr-defined]
    ):
        if start <= first and last < end:
            return number, int(kind)
    return 0, 0


@given(st.lists(PARTS, max_size=5))
@settings(max_examples=60, deadline=None)
def test_rows_equal_the_plain_computation(tokenizer: Tokenizer, texts: list[str]) -> None:
    annotator = _annotator()
    rows = _rows(annotator, tokenizer, texts)
    assert [len(row) for row in rows] == list(map(len, tokenizer.encode(texts)))
    for text, row, expected in zip(texts, rows, _expected(tokenizer, annotator, texts), strict=True):
        assert [tuple(one) for one in row.tolist()] == expected, text


@given(st.lists(PARTS, max_size=5), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_one_pass_equals_its_specification(
    tokenizer: Tokenizer,
    texts: list[str],
    words: bool,
    clauses: bool,
    on_words: bool,
) -> None:
    fused, plain = (_with_lexicon(words, clauses, on_words, is_fused) for is_fused in (True, False))
    _, lengths, starts = tokenizer.encode_with_starts(texts)
    expected = plain.annotate(texts, lengths, starts)
    assert np.array_equal(fused.annotate(texts, lengths, starts), expected)
    assert fused.counts() == plain.counts()


@cache
def _with_lexicon(words: bool, clauses: bool, on_words: bool, is_fused: bool) -> Annotator:
    lexicon = Lexicon(path=str(Path(__file__).parent / "lexicon.tsv"), type="weather")
    annotator = Annotator(
        AnnotateConfig(
            words=words, names=words, clauses=clauses, lexicons=(lexicon,), lexicon_on_words=on_words
        )
    )
    if not is_fused:
        annotator.fused = None
    return annotator


@cache
def _annotator() -> Annotator:
    return Annotator(AnnotateConfig())


def _rows(annotator: Annotator, tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """Rows of each text, without its eos, whose row is zeros."""
    _, lengths, starts = tokenizer.encode_with_starts(texts)
    rows = annotator.annotate(texts, lengths, starts)
    parts = np.split(rows, np.cumsum(lengths)[:-1]) if texts else []
    assert all(part[-1].tobytes() == bytes(rows.itemsize) for part in parts)
    return [part[:-1] for part in parts]


def test_rows_do_not_depend_on_the_batch(tokenizer: Tokenizer) -> None:
    texts = ["", *make_texts(40), "  \n", "因为下雨，所以不去。"]
    for text, row in zip(texts, _rows(_annotator(), tokenizer, texts), strict=True):
        assert np.array_equal(_rows(_annotator(), tokenizer, [text])[0], row)


def _found(annotator: Annotator, text: str) -> tuple[Layers, list[tuple[str, str, bool, bool]]]:
    characters = Characters([text])
    layers = annotator.layers(characters)
    spans = layers.connectives
    names = annotator.schema["relation"]
    return layers, [
        (characters.whole[start:end], names[kind], bool(first), bool(second))
        for start, end, kind, first, second in zip(
            spans.starts, spans.ends, spans.kinds, layers.firsts, layers.seconds, strict=True
        )
    ]


def test_connectives_and_pairs() -> None:
    annotator = _annotator()
    _, found = _found(annotator, "虽然下雨，但是我们去了。因为堵车，所以迟到。首先吃饭。")
    assert found == [
        ("虽然", "concession", True, False),
        ("但是", "concession", False, True),
        ("因为", "causal", True, False),
        ("所以", "causal", False, True),
        ("首先", "temporal", False, False),
    ]
    # Across a sentence's end there is no pair; a member that means nothing by itself is then no connective.
    _, found = _found(annotator, "如果下雨。我们就不去。")
    assert found == [("如果", "conditional", False, False)]
    _, found = _found(annotator, "如果下雨，我们就不去。")
    assert found == [("如果", "conditional", True, False), ("就", "conditional", False, True)]
    # 结果 is also a noun: a connective only where it starts a clause.
    assert _found(annotator, "这个结果很好。")[1] == []
    assert _found(annotator, "他去了，结果没有人。")[1] == [("结果", "causal", False, False)]


def test_the_list_is_sound() -> None:
    singles, pairs = table()
    assert len(singles) >= 150
    assert len(pairs) >= 100
    terms = [term for _, term, _ in singles]
    assert len(terms) == len(set(terms))
    assert len({(first, second) for _, first, second in pairs}) == len(pairs)
    assert {where for _, _, where in singles} == {"any", "clause"}
    assert len({relation for relation, _, _ in singles}) == 12


def test_entities_from_lexicons_and_names(tmp_path: Path, t5: Tokenizer) -> None:
    first, second = tmp_path / "a.tsv", tmp_path / "b.tsv"
    first.write_text("北京大学\t100\n北京\t5\n中\t1\n", "utf-8")
    second.write_text("# comment\n北京大学\n感冒\n", "utf-8")
    config = AnnotateConfig(
        lexicons=(Lexicon(path=str(first), type="campus"), Lexicon(path=str(second), type="illness"))
    )
    annotator = Annotator(config)
    text = "他在北京大学得了感冒，去上海看病。"
    characters = Characters([text])
    spans = annotator.layers(characters).entities
    names = annotator.schema["entity"]
    assert [
        (characters.whole[start:end], names[kind])
        for start, end, kind in zip(spans.starts, spans.ends, spans.kinds, strict=True)
    ] == [("北京大学", "campus"), ("感冒", "illness"), ("上海", "place")]
    _rows(annotator, t5, [text])
    counts = annotator.counts()
    assert (counts["entity"], counts["entity: campus"], counts["texts"]) == (3, 1, 1)
    assert merge([counts, counts])["entity"] == 6
    with pytest.raises(UserError, match="cannot be read"):
        Annotator(AnnotateConfig(lexicons=(Lexicon(path="absent", type="x"),)))


def test_records_of_other_tools(tmp_path: Path, t5: Tokenizer) -> None:
    text, other, bad = "我们学习北京。", "没有记录。", "坏的记录。"
    records = [
        {
            "text": text,
            "words": [[0, 2, "NAME"], [2, 4, "VERB"], [4, 6, "NAME"], [6, 7, "PUNCT"]],
            "entities": [[0, 2, "PER"]],
            "connectives": [],
            "clauses": [0],
            "sentences": [0],
            "heads": [[0, 1, "SBV"], [1, -1, "HED"], [2, 1, "VOB"], [3, 1, "WP"]],
            "roles": [[1, 0, 2, "A0"], [1, 4, 6, "A1"]],
        },
        {"sha256": hashlib.sha256(bad.encode()).hexdigest(), "words": [[0, 99, "X"]]},
    ]
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    config = AnnotateConfig(external=ExternalAnnotation(inputs=(str(path),)))
    annotator = Annotator(config)
    texts = [other, text, bad]
    ids = t5.encode(texts)
    rows = _rows(annotator, t5, texts)[1]
    schema = annotator.schema
    pieces = t5.pieces(ids[1])
    by_text = dict(zip((piece.strip("▁") for piece in pieces), rows.tolist(), strict=True))
    columns = [name for name, _ in schema["columns"]]
    assert columns == ["flags", "pos", "entity", "connective", "head", "arc", "role1", "role2", "role3"]
    first = next(row for piece, row in by_text.items() if piece.startswith("我"))
    assert schema["pos"][first[1]] == "NAME"
    assert schema["entity"][first[2]] == "PER"
    assert schema["arc"][first[5]] == "SBV"
    assert schema["role"][first[6]] == "A0"
    assert first[4] > 0
    verb = next(row for piece, row in by_text.items() if piece.startswith("学"))
    assert (verb[4], schema["arc"][verb[5]]) == (0, "HED")
    counts = annotator.counts()
    assert (counts["external_found"], counts["external_missing"], counts["external_refused"]) == (1, 1, 1)
    assert counts["external_refused: words: an offset lies outside the text"] == 1
    path.write_bytes(b'{"words": []}\n')
    with pytest.raises(UserError, match="line 1: no annotation record"):
        Annotator(AnnotateConfig(external=ExternalAnnotation(inputs=(str(path),))))


@given(sizes=st.lists(st.integers(0, 50), max_size=5))
@settings(max_examples=25, deadline=None)
def test_sidecar_round_trip(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    columns = [list(column) for column in sidecar.BASE_COLUMNS + sidecar.HEAD_COLUMNS]
    schema = {"columns": columns, "pos": ["", "名词"]}
    dtype = sidecar.row_dtype(schema)
    rows = [np.frombuffer(np.random.default_rng(size).bytes(7 * size), dtype) for size in sizes]
    prefix = tmp_path_factory.mktemp("ann") / "train-a-00000"
    with Writer(prefix, schema) as writer:
        for part in rows:
            writer.add(part)
        digest = writer.finish()
    reader = Reader(prefix)
    assert np.array_equal(reader.rows, np.concatenate([np.zeros(0, dtype), *rows]))
    assert reader.schema == schema
    assert reader.names("pos") == ["", "名词"]
    path = prefix.with_name("train-a-00000.ann")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_damaged_sidecars_are_errors(tmp_path: Path) -> None:
    schema = {"columns": sidecar.BASE_COLUMNS}
    prefix = tmp_path / "a"
    with Writer(prefix, schema) as writer:
        writer.add(np.zeros(10, sidecar.row_dtype(schema)))
        writer.finish()
    path = tmp_path / "a.ann"
    raw = path.read_bytes()
    for wrong, message in (
        (raw[:-1], "its header announces"),
        (raw + b"x", "its header announces"),
        (raw[:10], "truncated"),
        (b"x" + raw[1:], "not an annotation sidecar"),
        (raw[:8] + b"\2" + raw[9:], "version 2"),
        (raw.replace(b"flags", b"fl\xffgs"), "header cannot be read"),
        (raw.replace(b'"flags","u1"', b'"flags","O" '), "unknown columns"),
        (raw.replace(b'"flags","u1"', b'"flags","V9"'), "unknown columns"),
        (raw.replace(b'"flags","u1"', b'"flags","i1"'), "unknown columns"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(UserError, match=message):
            Reader(prefix)
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        Reader(prefix)


def test_an_unfinished_writer_leaves_nothing(tmp_path: Path) -> None:
    with Writer(tmp_path / "a", {"columns": sidecar.BASE_COLUMNS}):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fused", [True, False])
def test_bytes_of_a_mark_without_width_are_one_unit(tmp_path: Path, fused: bool) -> None:
    (tmp_path / "in.txt").write_text("\n".join(make_texts(200, seed=3)), "utf-8")
    config = TokenizerTrainConfig(
        inputs=(str(tmp_path / "in.txt"),), output=str(tmp_path / "t"), vocab_size=700, byte_fallback=True
    )
    tokenizer = load_tokenizer(train(config))
    annotator = _with_lexicon(True, True, True, fused)
    text = "我们\u200d\u2060学习\xad\x85天气\u200d"
    row = _rows(annotator, tokenizer, [text])[0]
    pieces = tokenizer.pieces(tokenizer.encode([text])[0])
    units = "".join(
        ("|" if flags & sidecar.UNIT else "") + piece
        for piece, (flags, *_) in zip(pieces, row.tolist(), strict=True)
    )
    assert units == (
        "|▁我们|<0xE2><0x80><0x8D>|<0xE2><0x81><0xA0>|学习|<0xC2><0xAD>|<0xC2><0x85>|天气|<0xE2><0x80><0x8D>"
    )
