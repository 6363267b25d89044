"""Twin of segment.cc: where sentences and clauses end."""

from collections.abc import Iterator

import numpy as np

from .rules import Ragged

SENTENCE_ENDS = "。！？!?…｡\n"
CLAUSE_ENDS = "，；,;"
CLOSING = "”’」』）》】〉〕］)]"
QUOTES = "\"'"
_RUN = SENTENCE_ENDS + CLAUSE_ENDS + CLOSING + "."


def segment(texts: list[str]) -> tuple[Ragged, Ragged]:
    """Ends of sentences, ends of clauses: ascending character offsets, the last is the length of the text.

    A boundary is a run of end marks with the closing marks and white space after it. A sentence's end is a
    clause's too. A comma between ASCII digits (1,000) and a full stop inside a word (3.5) are none.
    """
    sentences, clauses = [], []
    for text in texts:
        found = list(_ends(text))
        clauses.append([end for end, _ in found])
        sentences.append([end for end, is_sentence in found if is_sentence])
    return _ragged(sentences), _ragged(clauses)


def _ends(text: str) -> Iterator[tuple[int, bool]]:
    at = 0
    while at < len(text):
        if not _is_end(text, at):
            at += 1
            continue
        is_sentence = False
        # An ASCII quote opens more often than it closes, but for behind the end of a sentence.
        while at < len(text) and (text[at] in _RUN or (is_sentence and text[at] in QUOTES)):
            is_sentence |= text[at] in SENTENCE_ENDS + "."
            at += 1
        while at < len(text) and text[at].isspace():
            is_sentence |= text[at] == "\n"
            at += 1
        if at < len(text):
            yield at, is_sentence
    if text:
        yield len(text), True


def _is_end(text: str, at: int) -> bool:
    mark, after = text[at], text[at + 1 : at + 2]
    if mark == ".":
        return not after or after.isspace() or after in "." + CLOSING + QUOTES
    if mark in ",;":
        return not (at and text[at - 1] in "0123456789" and after and after in "0123456789")
    return mark in SENTENCE_ENDS + CLAUSE_ENDS


def _ragged(rows: list[list[int]]) -> Ragged:
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return Ragged(np.array([end for row in rows for end in row], np.int32), offsets)
