"""Which documents, and which of their lines, are kept: rules as data, counted one by one.

A rule takes a measure of a document (or line) and bounds; the first rule that a document breaks is the one that
removed it. Presets are published rules, each with its source.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from taixue.base import UserError

from .. import native
from ..read.word_list import read_terms
from .config import MEASURES, FilterConfig, FilterRule, Language, Preset

_PANGU = "PanGu-alpha as described for CodePanGu2.6B (App. F): at least 60 % hanzi and 150 characters"
_WEBTEXT = "ChineseWebText (CASIA-LM, preprocess.py)"
_MNBVC = "MNBVC web cleaning (wiki.mnbvc.org)"
_C4 = "C4 (Raffel et al. 2020, JMLR 21(140), 2.2)"


def _rule(name: str, measure: str, source: str, **bounds: Any) -> FilterRule:
    return FilterRule(name=name, measure=measure, source=source, **bounds)


PRESETS: dict[Preset, tuple[FilterRule, ...]] = {
    "pangu-alpha": (
        _rule("pangu-alpha: hanzi", "hanzi_ratio", _PANGU, minimum=0.6),
        _rule("pangu-alpha: length", "characters", _PANGU, minimum=150),
    ),
    "chinese-webtext": (
        _rule("chinese-webtext: length", "characters", _WEBTEXT, minimum=201),
        _rule("chinese-webtext: line length", "mean_line", _WEBTEXT, minimum=10),
        _rule("chinese-webtext: hanzi", "hanzi_ratio", _WEBTEXT, minimum=0.3),
        _rule("chinese-webtext: traditional", "traditional", _WEBTEXT, maximum=0),
        _rule("chinese-webtext: repetition", "repetition", _WEBTEXT, maximum=0.5),
    ),
    "mnbvc": (_rule("mnbvc: hanzi", "hanzi_ratio", _MNBVC, minimum=0.7),),
    "c4": (
        _rule("c4: lorem ipsum", "keywords", _C4, maximum=0, words=("lorem ipsum", "Lorem ipsum")),
        _rule("c4: curly bracket", "keywords", _C4, maximum=0, words=("{",)),
        _rule("c4: sentences", "sentences", _C4, minimum=3),
    ),
}
LINE_PRESETS: dict[Preset, tuple[FilterRule, ...]] = {
    "mnbvc": (_rule("mnbvc: short paragraph", "hanzi", _MNBVC, minimum=10),),
    "c4": (
        _rule("c4: end of line", "end_punctuation_ratio", _C4, minimum=1),
        _rule("c4: words", "words", _C4, minimum=5),
        _rule("c4: javascript", "keywords", _C4, maximum=0, words=("javascript", "Javascript", "JavaScript")),
    ),
}


def document_rules(config: FilterConfig) -> list[FilterRule]:
    """The rules for documents, in the order in which they are tried."""
    return [rule for preset in config.presets for rule in PRESETS[preset]] + list(config.rules)


def line_rules(config: FilterConfig) -> list[FilterRule]:
    """The rules for lines."""
    return [rule for preset in config.presets for rule in LINE_PRESETS.get(preset, ())] + list(
        config.line_rules
    )


class Measures:
    """Measures of texts that rules ask for; each float64 (N,). ngram: for the measure repetition."""

    def __init__(self, texts: native.Texts, rules: Sequence[FilterRule], ngram: int) -> None:
        self._texts = texts
        counts_repetition = any(rule.measure == "repetition" for rule in rules)
        self.stats = native.text_stats(self._texts, ngram if counts_repetition else 0)

    def of(self, rule: FilterRule) -> np.ndarray:
        """What the rule looks at."""
        stats, name = self.stats, rule.measure
        if name in MEASURES.names():
            return _measured(name, native.strings(self._texts))
        if name.startswith("keywords"):
            found = _matcher(rule).counts(self._texts).astype(np.float64)
            return found if name == "keywords" else found / np.maximum(stats["lines"], 1)
        if name == "words":
            return np.array([len(text.split()) for text in native.strings(self._texts)], np.float64)
        if name == "sentences":
            return np.diff(native.segment(self._texts)[0].offsets).astype(np.float64)
        if name in ("mean_line", "repetition"):
            return stats[name].astype(np.float64)
        if name in _LINE_SHARES:
            return stats[_LINE_SHARES[name]] / np.maximum(stats["lines"], 1)
        if name in _SHARES:
            return stats[_SHARES[name]] / np.maximum(stats["characters"] - stats["whitespace"], 1)
        if name == "duplicate_lines":
            return stats["duplicate_line_share"].astype(np.float64)
        return stats[name].astype(np.float64)

    def breaks(self, rule: FilterRule) -> np.ndarray:
        """Which texts the rule removes, bool (N,)."""
        value = self.of(rule)
        out = np.zeros(len(value), bool)
        if rule.minimum is not None:
            out |= value < rule.minimum
        if rule.maximum is not None:
            out |= value > rule.maximum
        return out

    def languages(self) -> np.ndarray:
        """Index into LANGUAGES of each text, told apart by script."""
        stats = self.stats
        letters = sum(
            stats[name].astype(np.float64) for name in ("hanzi", "latin", "kana", "hangul", "letters")
        )
        letters = np.maximum(letters, 1)
        choices = [
            stats["kana"] / letters > 0.1,
            stats["hangul"] / letters > 0.3,
            (stats["hanzi"] / letters > 0.3) & (stats["traditional"] > 0.05 * stats["hanzi"]),
            stats["hanzi"] / letters > 0.3,
            stats["latin"] / letters > 0.5,
        ]
        named = [LANGUAGES.index(name) for name in ("ja", "ko", "zh-hant", "zh", "latin")]
        return np.select(choices, named, LANGUAGES.index("other"))


LANGUAGES: tuple[Language, ...] = ("zh", "zh-hant", "ja", "ko", "latin", "other")
_SHARES = {
    "hanzi_ratio": "hanzi",
    "latin_ratio": "latin",
    "digit_ratio": "digits",
    "punctuation_ratio": "punctuation",
    "symbol_ratio": "symbols",
    "kana_ratio": "kana",
    "hangul_ratio": "hangul",
    "traditional_ratio": "traditional",
}
_LINE_SHARES = {
    "end_punctuation_ratio": "end_punctuation_lines",
    "bullet_ratio": "bullet_lines",
    "ellipsis_ratio": "ellipsis_lines",
}


def _measured(name: str, texts: list[str]) -> np.ndarray:
    """A user's measure of texts. UserError when it does not give a number for each."""
    try:
        values = np.asarray(MEASURES[name].of(texts), np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"measure {name}: {error}") from error
    if values.shape != (len(texts),):
        raise UserError(
            f"measure {name}: gave shape {values.shape} for {len(texts)} texts; ({len(texts)},) is needed"
        )
    return values


@lru_cache(maxsize=64)
def _matcher(rule: FilterRule) -> Any:
    return native.KeywordMatcher(rule_words(rule))


def rule_words(rule: FilterRule) -> list[str]:
    """The keywords of a rule. UserError when its list cannot be read."""
    return list(rule.words) + (read_terms(rule.word_list) if rule.word_list else [])


def kept_lines(
    texts: native.Texts, rules: Sequence[FilterRule], ngram: int
) -> tuple[list[str], dict[str, list[str]]]:
    """(texts without the lines that break a rule, removed lines by rule). Blank lines stay only between kept lines."""
    whole = native.strings(texts)
    parts = [text.split("\n") for text in whole]
    lines = [line for part in parts for line in part]
    blank = np.fromiter((not line.strip() for line in lines), bool, len(lines))
    measures = Measures(lines, rules, ngram)
    good = np.ones(len(lines), bool)
    removed: dict[str, list[str]] = {}
    for rule in rules:
        bad = measures.breaks(rule) & good & ~blank
        removed[rule.name] = [lines[k] for k in np.flatnonzero(bad).tolist()]
        good &= ~bad
    out = []
    begin = 0
    for text, part in zip(whole, parts, strict=True):
        mine = good[begin : begin + len(part)]
        begin += len(part)
        if mine.all():
            out.append(text)
        else:
            joined = "\n".join(line for line, keep in zip(part, mine.tolist(), strict=True) if keep)
            out.append(re.sub(r"\n{3,}", "\n\n", joined).strip("\n"))
    return out, removed


def described(rules: Sequence[FilterRule]) -> dict[str, Mapping[str, Any]]:
    """Rules as the report shows them; with the version of a user's measure."""
    return {
        rule.name: rule.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
        | ({"version": MEASURES[rule.measure].version} if rule.measure in MEASURES.names() else {})
        for rule in rules
    }
