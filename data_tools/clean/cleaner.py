"""What happens to every text before anything is compared: normalised, masked, filtered, and all of it counted."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from taixue.base import UserError

from .. import native
from . import filters
from .config import FilterConfig, NormalizeConfig

_SAMPLE_CHARACTERS = 200
EMPTY = "nothing left"
LANGUAGE = "language"


class Cleaner:
    """Cleans batches of texts; what it counts does not depend on how texts are cut into batches."""

    def __init__(self, normalize: NormalizeConfig | None, filtering: FilterConfig | None) -> None:
        """UserError for word lists and packages that are missing."""
        self._normalize, self._filter = normalize, filtering
        self._converter = _opencc() if normalize and normalize.simplify else None
        self._document_rules = filters.document_rules(filtering) if filtering else []
        self._line_rules = filters.line_rules(filtering) if filtering else []
        self._words = {
            rule.name: hashlib.sha256("\n".join(filters.rule_words(rule)).encode()).hexdigest()
            for rule in [*self._document_rules, *self._line_rules]
            if rule.word_list
        }
        self._samples = filtering.samples if filtering else 0
        self._counts: dict[str, Any] = {"changed": 0, "masked": {}, "lines": {}, "rules": {}, "languages": {}}

    def stamp(self) -> dict[str, Any]:
        """Everything that the result depends on, beside the texts."""
        out: dict[str, Any] = {"normalize": None, "filters": None, "words": self._words}
        if self._normalize:
            out["normalize"] = self._normalize.model_dump(mode="json")
        if self._filter:
            out["filters"] = [
                filters.described(self._document_rules),
                filters.described(self._line_rules),
                self._filter.model_dump(mode="json", exclude={"rules", "line_rules", "presets"}),
            ]
        return out

    def clean(self, texts: native.Texts) -> tuple[native.Texts, np.ndarray]:
        """(cleaned texts (N,), which are kept, bool (N,)). Texts that are not kept are cleaned as well."""
        out = texts
        if self._normalize:
            out = self._normalized(out, self._normalize)
        if self._filter and self._line_rules:
            out, removed = filters.kept_lines(out, self._line_rules, self._filter.ngram)
            for name, lines in removed.items():
                self._note(self._counts["lines"], name, lines)
        kept = ~native.are_blank(out)
        self._remove(EMPTY, ~kept, texts, np.zeros(len(out), np.int64))
        return out, self.judge(out, kept)

    def judge(self, texts: native.Texts, present: np.ndarray) -> np.ndarray:
        """Which of the texts that are present, bool (N,), no rule for documents removes; cleaned texts, as they are."""
        return self._passing(texts, present, self._filter) if self._filter else present

    def counts(self) -> dict[str, Any]:
        """JSON-able: texts that normalisation changed; what was masked, by kind; lines and documents removed, by rule,
        with bytes and samples; documents by language as they came to the rules, with bytes."""
        return self._counts

    def _normalized(self, texts: native.Texts, config: NormalizeConfig) -> native.Texts:
        rules = native.NormalizeRules(
            nfkc=config.nfkc,
            keep_fullwidth_punctuation=config.keep_fullwidth_punctuation,
            html=config.html,
        )
        out = native.normalize(texts, rules)
        if self._converter is not None:
            out = [self._converter.convert(text) for text in native.strings(out)]
        self._counts["changed"] += int((~native.are_equal(out, texts)).sum())
        if config.mask:
            out, found = native.mask_personal(out, list(config.mask))
            for kind, count in zip(native.PERSONAL, found.sum(axis=0).tolist(), strict=True):
                if kind in config.mask:
                    self._counts["masked"][kind] = self._counts["masked"].get(kind, 0) + count
        return out

    def _passing(self, texts: native.Texts, present: np.ndarray, config: FilterConfig) -> np.ndarray:
        measures = filters.Measures(texts, self._document_rules, config.ngram)
        kept = present.copy()
        sizes = measures.stats["bytes"]
        languages = measures.languages()
        for number, name in enumerate(filters.LANGUAGES):
            mine = (languages == number) & present
            if mine.any():
                entry = self._counts["languages"].setdefault(name, {"documents": 0, "bytes": 0})
                entry["documents"] += int(mine.sum())
                entry["bytes"] += int(sizes[mine].sum())
        if config.languages:
            wanted = np.isin(languages, [filters.LANGUAGES.index(name) for name in config.languages])
            self._remove(LANGUAGE, kept & ~wanted, texts, sizes)
            kept &= wanted
        for rule in self._document_rules:
            bad = measures.breaks(rule) & kept
            self._remove(rule.name, bad, texts, sizes)
            kept &= ~bad
        return kept

    def _remove(self, name: str, chosen: np.ndarray, texts: native.Texts, sizes: np.ndarray) -> None:
        places = np.flatnonzero(chosen)
        entry = self._entry(self._counts["rules"], name)
        entry["documents"] += len(places)
        entry["bytes"] += int(sizes[places].sum())
        for place in places[: max(self._samples - len(entry["samples"]), 0)].tolist():
            entry["samples"].append(native.strings([texts[place]])[0][:_SAMPLE_CHARACTERS])

    def _note(self, table: dict[str, Any], name: str, lines: list[str]) -> None:
        entry = self._entry(table, name)
        entry["documents"] += len(lines)
        entry["bytes"] += sum(len(line.encode()) for line in lines)
        room = max(self._samples - len(entry["samples"]), 0)
        entry["samples"] += [line[:_SAMPLE_CHARACTERS] for line in lines[:room]]

    @staticmethod
    def _entry(table: dict[str, Any], name: str) -> dict[str, Any]:
        entry: dict[str, Any] = table.setdefault(name, {"documents": 0, "bytes": 0, "samples": []})
        return entry


def merge(counts: Iterable[dict[str, Any]], samples: int = 10) -> dict[str, Any]:
    """Counts of several cleaners together: numbers added, samples in the order given, at most so many per rule."""
    total: dict[str, Any] = {}
    for one in counts:
        _add(total, one, samples)
    return total


def _add(total: dict[str, Any], one: dict[str, Any], samples: int) -> None:
    for name, value in one.items():
        if isinstance(value, dict):
            _add(total.setdefault(name, {}), value, samples)
        elif isinstance(value, list):
            total[name] = (total.get(name, []) + value)[:samples]
        else:
            total[name] = total.get(name, 0) + value


def _opencc() -> Any:
    try:
        import opencc
    except ImportError:
        raise UserError(
            "normalize.simplify needs OpenCC: pip install 'taixue-pretrain[opencc]' (or set simplify: false)"
        ) from None
    return opencc.OpenCC("t2s")
