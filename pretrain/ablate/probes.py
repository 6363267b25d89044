"""Where cloze cases come from: units of held-out windows, by type, and FewCLUE's idiom cloze."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from taixue.base import UserError, rng
from taixue.data_tools.shards import sidecar
from taixue.data_tools.tokenizer.base import Tokenizer

from .cloze import Cloze

_KEY = np.uint64(0x7461697875650002)  # the same cases for every run
_BLANK = "#idiom#"
KINDS = ("word", "entity", "connective", "idiom")


def from_windows(
    tokens: np.ndarray, rows: np.ndarray, schema: Mapping[str, Any], idiom_tags: Sequence[str], most: int
) -> list[Cloze]:
    """At most `most` cases of each of KINDS from windows of tokens (B, N) and their annotation rows (B, N).

    A word is one that is no punctuation, no idiom and in no entity or connective. Units that reach the end of a window
    may go on behind it and are left out.
    """
    spans = {
        "entity": _spans(rows, sidecar.ENTITY, rows["entity"] != 0),
        "connective": _spans(rows, sidecar.CONNECTIVE, rows["connective"] != 0),
    }
    names = np.array(schema["pos"])
    idioms, marks = np.isin(names, idiom_tags), np.isin(names, ("", "x"))
    free = (rows["entity"] == 0) & (rows["connective"] == 0)
    every = np.ones(rows.shape, bool)
    for kind, wanted in (("word", ~(idioms | marks)[rows["pos"]] & free), ("idiom", idioms[rows["pos"]])):
        row, begin, end = _spans(rows, sidecar.UNIT, every)
        keep = wanted[row, begin]
        spans[kind] = row[keep], begin[keep], end[keep]
    cases = []
    for number, kind in enumerate(KINDS):
        row, begin, end = spans[kind]
        drawn = rng.draw(rng.derive(_KEY, np.array([number])), 1, len(row))[0]
        for index in np.sort(np.argsort(drawn, kind="stable")[:most]):
            text, first, last = tokens[row[index]], begin[index], end[index]
            cases.append(Cloze(kind, text[:first], text[last:], (text[first:last],), 0))
    return cases


def _spans(rows: np.ndarray, bit: int, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, begin, end) of units: from a flag to the next, or to where `inside` ends; none that reaches the last."""
    begins = ((rows["flags"] & bit) != 0) & inside
    row, begin = np.nonzero(begins)
    closes = np.pad(begins | ~inside, ((0, 0), (0, 1)), constant_values=True)
    width = closes.shape[1]
    places = np.flatnonzero(closes.ravel())
    end = places[np.searchsorted(places, row * width + begin, "right")] - row * width
    whole = end < rows.shape[1]
    return row[whole], begin[whole], end[whole]


def from_chid(folder: str | Path, tokenizer: Tokenizer) -> list[Cloze]:
    """The labelled texts of FewCLUE's chid (train and dev splits, each text once), with seven idioms to choose from.

    UserError when the folder has none, or a line is no case.
    """
    files = sorted(path for name in ("train", "dev") for path in Path(folder).glob(f"{name}*.json"))
    records = {}
    for path in files:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                record = orjson.loads(line)
                content, answer = str(record["content"]), int(record["answer"])
                candidates = [str(candidate) for candidate in record["candidates"]]
                if _BLANK not in content or not 0 <= answer < len(candidates):
                    raise ValueError(f"no {_BLANK}, or an answer that is no candidate")
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise UserError(f"{path}, line {number}: no case of idiom cloze ({error})") from None
            records[content] = (candidates, answer)
    if not records:
        raise UserError(f"{folder}: no train*.json or dev*.json with cases of FewCLUE's chid")
    return list(_chid_cases(records, tokenizer))


def _chid_cases(records: Mapping[str, tuple[list[str], int]], tokenizer: Tokenizer) -> Iterator[Cloze]:
    for content, (candidates, answer) in records.items():
        before, _, after = content.partition(_BLANK)
        ids = tokenizer.encode([before, after.replace(_BLANK, ""), *candidates])
        if all(len(candidate) for candidate in ids[2:]):
            yield Cloze("chid", ids[0], ids[1], tuple(ids[2:]), answer)
