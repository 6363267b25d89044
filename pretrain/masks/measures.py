"""What masking did to windows of text, counted against their annotation."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from taixue.data_tools.shards import sidecar

LONGEST = 20
TYPES = ("word", "entity", "connective", "idiom")


@dataclass
class Measures:
    """Counts over any number of windows; `add` and `facts` are all there is to it.

    A unit is touched when any of its tokens is masked, whole when all of them are in one span. tokens, masked_tokens:
    by type, "word" being what is nothing else; units: all words. lengths[n]: spans of n tokens, the last entry those of
    LONGEST and more.
    """

    windows: int = 0
    real: int = 0
    masked: int = 0
    fell_back: int = 0
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(LONGEST + 1, np.int64))
    tokens: dict[str, int] = field(default_factory=dict)
    masked_tokens: dict[str, int] = field(default_factory=dict)
    units: dict[str, int] = field(default_factory=dict)
    touched: dict[str, int] = field(default_factory=dict)
    whole: dict[str, int] = field(default_factory=dict)
    truncated: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        numbers: np.ndarray,
        special: np.ndarray,
        rows: np.ndarray | None,
        idioms: list[int],
        fell_back: int = 0,
    ) -> None:
        """numbers int (B, N): the span that holds each token, 0 for none, different for neighbours; special bool (B,
        N); rows structured (B, N); idioms: parts of speech; fell_back: windows without spans of whole units."""
        masked = numbers > 0
        self.windows += len(numbers)
        self.real += int((~special).sum())
        self.masked += int((masked & ~special).sum())
        self.fell_back += fell_back
        starts = _changes(numbers)
        spans = _reduced(np.add, np.ones(numbers.shape, np.int64), starts)[_firsts(masked, starts)]
        self.lengths += np.bincount(np.minimum(spans, LONGEST), minlength=LONGEST + 1)
        if rows is None:
            return
        is_idiom = np.isin(rows["pos"], idioms)
        special_kinds = is_idiom | (rows["entity"] > 0) | (rows["connective"] > 0)
        for name, kinds, flag in (
            ("word", ~special, sidecar.UNIT),
            ("entity", rows["entity"], sidecar.ENTITY),
            ("connective", rows["connective"], sidecar.CONNECTIVE),
            ("idiom", is_idiom, sidecar.UNIT),
        ):
            held, begins = kinds > 0, (rows["flags"] & flag) != 0
            counted = held & ~special_kinds if name == "word" else held
            _add(self.tokens, name, counted.sum())
            _add(self.masked_tokens, name, (counted & masked).sum())
            _add(self.truncated, name, (held[:, 0] & ~begins[:, 0]).sum())
            if not held.any():
                continue
            starts = begins | _changes(kinds)
            mine = _firsts(held, starts)
            lowest = _reduced(np.minimum, numbers, starts)[mine]
            highest = _reduced(np.maximum, numbers, starts)[mine]
            _add(self.units, name, len(lowest))
            _add(self.touched, name, (highest > 0).sum())
            _add(self.whole, name, ((lowest == highest) & (lowest > 0)).sum())

    def facts(self) -> dict[str, Any]:
        """Shares for people and programs; 0 where nothing was counted."""
        facts: dict[str, Any] = {
            "windows": self.windows,
            "tokens": self.real,
            "mask_rate": share(self.masked, self.real),
            "spans": int(self.lengths.sum()),
            "mean_span": share(self.masked, int(self.lengths.sum())),
            "span_lengths": self.lengths.tolist(),
            "windows_with_random_spans_instead": self.fell_back,
        }
        if not self.units:
            return facts
        touched, whole = self.touched, self.whole
        return facts | {
            "masked_of_type": {name: share(self.masked_tokens[name], self.tokens[name]) for name in TYPES},
            "type_of_masked": {name: share(self.masked_tokens[name], self.masked) for name in TYPES},
            "entities_in_one_span": share(whole.get("entity", 0), touched.get("entity", 0)),
            "entities_masked_whole": share(whole.get("entity", 0), self.units.get("entity", 0)),
            "connectives_masked": share(whole.get("connective", 0), self.units.get("connective", 0)),
            "idioms_in_one_span": share(whole.get("idiom", 0), touched.get("idiom", 0)),
            "words_cut": share(touched.get("word", 0) - whole.get("word", 0), touched.get("word", 0)),
            "cut_by_window": dict(self.truncated),
            "units": dict(self.units),
        }


def share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def _add(counts: dict[str, int], name: str, more: Any) -> None:
    counts[name] = counts.get(name, 0) + int(more)


def _changes(values: np.ndarray) -> np.ndarray:
    """bool (B, N): where a value differs from the one to the left; true at the first of a row."""
    out = np.ones(values.shape, bool)
    out[:, 1:] = values[:, 1:] != values[:, :-1]
    return out


def _reduced(function: np.ufunc, values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """One value for each stretch from a start to the next; every row begins with a start."""
    starts = starts.copy()
    starts[:, 0] = True
    reduced: np.ndarray = function.reduceat(values.ravel(), np.flatnonzero(starts))
    return reduced


def _firsts(held: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """For each stretch, whether its first token is held."""
    starts = starts.copy()
    starts[:, 0] = True
    mine: np.ndarray = held.ravel()[np.flatnonzero(starts)]
    return mine
