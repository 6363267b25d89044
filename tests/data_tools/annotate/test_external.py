"""Records of other tools: what they leave out, what they count in, who uses them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from taixue import UserError
from taixue.data_tools.annotate import Annotator, merge, remarks, together
from taixue.data_tools.annotate.config import AnnotateConfig, ExternalAnnotation
from taixue.data_tools.annotate.layered_text import Characters, Layers

TEXT = "我们学习北京。"
WORDS = [[0, 2, "r"], [2, 4, "v"], [4, 6, "ns"], [6, 7, "x"]]


def _annotator(folder: Path, records: Sequence[dict[str, Any]]) -> Annotator:
    path = folder / "records.jsonl"
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return Annotator(AnnotateConfig(external=ExternalAnnotation(inputs=(str(path),))))


def _layers(folder: Path, record: dict[str, Any], text: str) -> tuple[Layers, dict[str, int]]:
    annotator = _annotator(folder, [{"text": text} | record])
    return annotator.layers(Characters([text])), merge([annotator.counts()])


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"words": WORDS[:2]}, "words: they end before the text does"),
        ({"words": WORDS[:1] + WORDS[2:]}, "words: they leave out a part of the text"),
        ({"words": []}, "words: they end before the text does"),
        ({"words": WORDS, "heads": [[0, 1, "SBV"], [1, -1, "HED"]]}, "heads: each word must have one"),
        ({"heads": [[0, -1, "HED"]]}, "heads and roles: numbers of words, but there are no words"),
        ({"words": [[0, 2.5], [2, 7]]}, "words: an offset is no whole number"),
        ({"words": [[0, 7, "n", "more"]]}, "words: an item of 2 or 3 entries is expected"),
        ({"entities": [[0, 0, "PER"]]}, "entities: one of them ends where it starts or before"),
        ({"entities": [[0, 8, "PER"]]}, "entities: an offset lies outside the text"),
        ({"offsets": "bytes"}, "offsets: legal are characters, utf-16"),
        ({"clauses": {"0": 1}}, "clauses: a list is expected"),
    ],
)
def test_what_cannot_be_used_is_left_out_whole(tmp_path: Path, record: dict[str, Any], reason: str) -> None:
    layers, counts = _layers(tmp_path, record, TEXT)
    assert counts["external_refused"] == counts[f"external_refused: {reason}"] == 1
    expected = Annotator(AnnotateConfig()).layers(Characters([TEXT]))
    assert (layers.word_starts == expected.word_starts).all()  # type: ignore[union-attr]


def test_white_space_needs_no_word(tmp_path: Path) -> None:
    text = "我们 学习\n"
    layers, counts = _layers(tmp_path, {"words": [[0, 2], [3, 5]], "clauses": [3], "sentences": []}, text)
    assert counts["external_found"] == 1
    assert layers.word_starts is not None
    assert layers.clause_starts is not None
    assert layers.word_starts[1:7].tolist() == [True, False, True, True, False, True]
    # A text begins a clause, whatever a record says.
    assert layers.clause_starts[1:7].tolist() == [True, False, False, True, False, False]


def test_utf16_offsets_are_recognised(tmp_path: Path) -> None:
    text, spans = "😀我们𠮷好", [[0, 2], [2, 4], [4, 6], [6, 7]]
    layers, counts = _layers(tmp_path, {"words": spans, "entities": [[4, 6, "LOC"]]}, text)
    assert (counts["external_found"], counts["external_utf16"]) == (1, 1)
    assert layers.word_starts is not None
    assert layers.word_starts[1:6].tolist() == [True, True, False, True, True]
    assert (layers.entities.starts[0], layers.entities.ends[0]) == (4, 5)
    # Inside of a character: neither.
    _, counts = _layers(tmp_path, {"words": [[0, 1], [1, 7]]}, text)
    assert counts["external_refused: words: an offset lies outside the text"] == 1
    _, counts = _layers(tmp_path, {"words": [[0, 1], [1, 7]], "offsets": "utf-16"}, text)
    assert counts["external_refused: words: an offset lies outside the text or in a character"] == 1


def test_one_record_shows_what_its_file_counts_in(tmp_path: Path) -> None:
    sure = {"text": "𠮷野", "words": [[0, 2], [2, 3]]}
    unsure = {"text": "😀北京好好", "entities": [[2, 4, "LOC"]]}
    annotator = _annotator(tmp_path, [sure, unsure])
    entities = annotator.layers(Characters([unsure["text"]])).entities
    assert (entities.starts.tolist(), entities.ends.tolist()) == ([2], [4])
    other = {"text": "𠮷井", "words": [[0, 1], [1, 2]]}
    with pytest.raises(UserError, match="offsets can only be utf-16 in line 1 and characters in line 3"):
        _annotator(tmp_path, [sure, unsure, other])


def test_records_without_a_document_and_with_several_are_counted(tmp_path: Path) -> None:
    texts = [f"第{number}篇。" for number in range(6)]
    records = [{"text": text, "clauses": [0]} for text in texts]
    records.append({"sha256": hashlib.sha256(texts[0].encode()).hexdigest(), "clauses": [0]})
    counts = []
    for own in (texts[:3], texts[2:4], ["没有。"]):
        annotator = _annotator(tmp_path, records)
        annotator.layers(Characters(own))
        counts.append(orjson.loads(orjson.dumps(annotator.counts())))
    found = together(counts)
    names = ("records", "used", "repeated", "unused", "used_again", "missing", "documents")
    assert [found[name] for name in names] == [7, 4, 1, 2, 1, 1, 5]
    assert merge(counts)["external_found"] == 5
    assert list(remarks(found)) == [
        "external annotation: 7 records: 4 used (1 of them by several documents), 2 of no document, 1 of a text that "
        "has one already",
        "external annotation: 5 documents annotated by it, 1 without a record, 0 with one that cannot be used",
    ]


def test_digests_that_are_none_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 1: no annotation record: sha256 has 2 bytes, not 32"):
        _annotator(tmp_path, [{"sha256": "abcd", "words": []}])
