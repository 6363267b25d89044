"""What the model itself puts into the blanks of a few held-out samples, at each evaluation: fills.jsonl in the folder.

A line is one sample: {"step", "time", "source", "number", "parts"}. parts is the input in order: text, or a blank
{"target": pieces that stood there, "fill": pieces the model takes for likeliest}, of one length. Each piece is
predicted with the right ones before it given (T5's decoder) or beside the other blanks (BERT), as in the loss.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from torch import Tensor

from taixue.data_tools.tokenizer.store import Tokenizer
from taixue.parallel.engine import Wanted

from ..data import Data, HeldOut
from ..objectives.base import IGNORED
from .contents import FILLS
from .history import append
from .predictions import as_tensors
from .state import TrainState

log = logging.getLogger("taixue")

SOURCES = 8
SAMPLES = 4
"""Of each source at most, where there is one; half as many where there are several."""

Part = str | dict[str, list[str]]


class Fills:
    """Looks at the same samples each time. All ranks call it together; folder: where rank 0 writes, None elsewhere."""

    def __init__(self, state: TrainState, data: Data, tokenizer: Tokenizer, folder: Path | None) -> None:
        self._state, self._tokenizer, self._path = state, tokenizer, folder and folder / FILLS
        self._sources = dict(list(data.validation().items())[:SOURCES])

    def __call__(self, step: int, time: float) -> None:
        """Append what the model makes of the samples after `step` updates. What cannot be written is said once."""
        for source, held_out in self._sources.items():
            for number, parts in enumerate(self._filled(held_out)):
                line = {"step": step, "time": time, "source": source, "number": number, "parts": parts}
                self._write(orjson.dumps(line))

    def _filled(self, held_out: HeldOut) -> Iterator[list[Part]]:
        """The samples of a source with their blanks filled; one pass of the shape that evaluations have."""
        engine, micro = self._state.engine, self._state.run.batch.micro_size
        few = min(SAMPLES if len(self._sources) == 1 else SAMPLES // 2, len(held_out))
        rows = min(-(-few // engine.depth), micro)
        places = [k * micro + row for k in range(engine.depth) for row in range(rows)][:few]
        numbers = np.zeros(micro * engine.depth, np.int64)
        numbers[places] = np.arange(len(places))
        arrays = held_out[numbers]
        asked = without_labels(as_tensors(arrays), self._state.losses)
        found = engine.outputs(asked, Wanted(states=(), top_k=1, rows=rows))["top_ids"][..., 0].cpu().numpy()
        for place, fill in zip(places, found, strict=False):
            yield parts_of({name: array[place] for name, array in arrays.items()}, fill, self._tokenizer)

    def _write(self, line: bytes) -> None:
        if self._path is None:
            return
        try:
            append(self._path, line)
        except OSError as error:
            log.warning("%s cannot be written (%s): training goes on, no samples are kept", self._path, error)
            self._path = None


def without_labels(batch: Mapping[str, Tensor], losses: Mapping[str, str]) -> dict[str, Tensor]:
    """The batch as one asks a model that is to answer. losses: see Family.losses."""
    return {name: tensor for name, tensor in batch.items() if name not in losses.values()}


def parts_of(row: Mapping[str, np.ndarray], fill: np.ndarray, tokenizer: Tokenizer) -> list[Part]:
    """One sample's arrays, and the likeliest id at each position that has a label, (T,) or (S,), as parts."""
    if "decoder_input_ids" in row:
        return _spans(row, fill, tokenizer)
    parts: list[Part] = []
    labels, words = row["labels"], _pieces(row["input_ids"], tokenizer)
    targets, fills = _pieces(np.maximum(labels, 0), tokenizer), _pieces(fill, tokenizer)
    for place, number in enumerate(row["input_ids"]):
        if labels[place] != IGNORED:
            _add_blank(
                parts, [targets[place]], [fills[place]], goes_on=labels[place - 1] != IGNORED and place > 0
            )
        elif int(number) not in (tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id):
            _add_text(parts, words[place])
    return parts


def _spans(row: Mapping[str, np.ndarray], fill: np.ndarray, tokenizer: Tokenizer) -> list[Part]:
    """Each sentinel of the input is a blank; what the target has before its first, or behind one that the input lacks,
    is a blank at the end."""
    sentinels, silent = set(tokenizer.sentinel_ids), {tokenizer.pad_id, tokenizer.eos_id, IGNORED}
    spans: dict[int, list[int]] = {}
    current = -1
    for place, number in enumerate(row["labels"].tolist()):
        if number in sentinels:
            current = number
        elif number not in silent:
            spans.setdefault(current, []).append(place)
    targets, fills = _pieces(np.maximum(row["labels"], 0), tokenizer), _pieces(fill, tokenizer)
    parts: list[Part] = []

    def blank(places: Sequence[int]) -> None:
        _add_blank(parts, [targets[k] for k in places], [fills[k] for k in places], goes_on=False)

    words = _pieces(row["input_ids"], tokenizer)
    for place, number in enumerate(row["input_ids"].tolist()):
        if number in sentinels:
            blank(spans.pop(number, []))
        elif number not in silent:
            _add_text(parts, words[place])
    for places in spans.values():
        blank(places)
    return parts


def _add_text(parts: list[Part], piece: str) -> None:
    if parts and isinstance(parts[-1], str):
        parts[-1] += piece
    else:
        parts.append(piece)


def _add_blank(parts: list[Part], target: list[str], fill: list[str], goes_on: bool) -> None:
    last: Any = parts[-1] if parts and goes_on else None
    if isinstance(last, dict):
        last["target"] += target
        last["fill"] += fill
    else:
        parts.append({"target": target, "fill": fill})


_WORD = re.compile(r"[0-9A-Za-z]")


def _pieces(ids: np.ndarray, tokenizer: Tokenizer) -> list[str]:
    """What each id writes, with the space before it where it has one: SentencePiece says so, BERT's pieces leave it to
    the reader, who puts one between words of letters."""
    pieces = tokenizer.pieces(ids)
    if tokenizer.kind != "bert":
        return [piece.replace("▁", " ") for piece in pieces]
    found, before = [], ""
    for piece in pieces:
        apart = bool(_WORD.match(piece) and _WORD.match(before[-1:]))
        found.append(piece[2:] if piece.startswith("##") and len(piece) > 2 else " " * apart + piece)
        before = piece
    return found
