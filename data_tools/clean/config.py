"""Configuration of what happens to a document's text: normalise and filter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, model_validator

from taixue.base.registry import Registry
from taixue.base.section import Section

Personal = Literal["url", "email", "id", "card", "mobile", "landline", "ip"]
Preset = Literal["pangu-alpha", "chinese-webtext", "mnbvc", "c4"]
BuiltInMeasure = Literal[
    "characters",
    "bytes",
    "lines",
    "words",
    "sentences",
    "hanzi",
    "hanzi_ratio",
    "latin_ratio",
    "digit_ratio",
    "punctuation_ratio",
    "symbol_ratio",
    "kana_ratio",
    "hangul_ratio",
    "traditional",
    "traditional_ratio",
    "replacement",
    "mean_line",
    "end_punctuation_ratio",
    "bullet_ratio",
    "ellipsis_ratio",
    "repetition",
    "duplicate_lines",
    "keywords",
    "keywords_per_line",
]


@dataclass(frozen=True)
class MeasureKind:
    """A measure of your own, by its name in rules.

    of(texts): a number for each of the texts (documents, or lines in line_rules), which depends on that text alone.
    version: any text; change it whenever `of` gives other numbers, for corpora built with the old ones differ.
    """

    name: str
    version: str
    of: Callable[[Sequence[str]], Sequence[float]]


class _Measures(Registry[MeasureKind]):
    def add(self, entry: MeasureKind) -> MeasureKind:
        if entry.name in get_args(BuiltInMeasure):
            raise ValueError(f"measure {entry.name!r} is built in")
        return super().add(entry)


MEASURES = _Measures("measure", MeasureKind)


def _known(measure: str) -> str:
    known = (*get_args(BuiltInMeasure), *MEASURES.names())
    if measure not in known:
        raise ValueError(
            f"should be one of {', '.join(known)}; one of your own is there in the script that registers it"
        )
    return measure


Measure = Annotated[str, AfterValidator(_known)]
Language = Literal["zh", "zh-hant", "ja", "ko", "latin", "other"]


class NormalizeConfig(Section):
    """What is made the same in all texts before anything is counted or compared.

    Control characters and zero-width marks always go, and runs of white space become one space or at most two line
    ends.
    """

    nfkc: bool = Field(True, description="Unicode NFKC: full-width letters and digits become half-width, ...")
    keep_fullwidth_punctuation: bool = Field(
        True, description="leave ，。！？：；（）“” as they are under NFKC"
    )
    html: bool = Field(False, description="remove left-over tags and resolve entities such as &nbsp;")
    simplify: bool = Field(
        False, description="traditional to simplified characters by OpenCC (extra [opencc])"
    )
    mask: tuple[Personal, ...] = Field((), description="replaced by a placeholder such as [URL]")


class FilterRule(Section):
    """One condition on a document (or line): it goes when its measure is below minimum or above maximum.

    Ratios are of the characters that are no white space; repetition is the share of character n-grams (filters.ngram)
    that occur more than once in the document; duplicate_lines the share of lines that occurred before; keywords
    counts occurrences of the rule's words, keywords_per_line divides that by the number of lines.
    """

    name: str = Field(min_length=1, description="shown in counts and reports")
    measure: Measure = Field(description="what is measured")
    minimum: float | None = Field(None, description="texts with less go")
    maximum: float | None = Field(None, description="texts with more go")
    words: tuple[str, ...] = Field((), description="keywords: the words themselves")
    word_list: str = Field(
        "", description="keywords: file with one word per line (more after a tab is ignored)"
    )
    source: str = Field("", description="where the rule comes from")

    @model_validator(mode="after")
    def _complete(self) -> "FilterRule":
        if self.minimum is None and self.maximum is None:
            raise ValueError(f"rule {self.name!r} has neither minimum nor maximum: it removes nothing")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(
                f"rule {self.name!r}: minimum {self.minimum:g} is above maximum {self.maximum:g}: it removes everything"
            )
        if (self.measure in ("keywords", "keywords_per_line")) != bool(self.words or self.word_list):
            raise ValueError(
                f"rule {self.name!r}: words or word_list go with measures keywords and keywords_per_line, "
                f"and only with them; its measure is {self.measure}"
            )
        return self


class FilterConfig(Section):
    """Which documents, and which lines of them, are kept. Rules of presets come first, in the order of the presets."""

    presets: tuple[Preset, ...] = Field((), description="published rules, named for their source")
    rules: tuple[FilterRule, ...] = Field((), description="a document goes at the first rule it breaks")
    line_rules: tuple[FilterRule, ...] = Field(
        (), description="lines that break one are cut out of documents"
    )
    languages: tuple[Language, ...] = Field(
        (), description="kept languages, told apart by script; () keeps all"
    )
    ngram: PositiveInt = Field(13, description="length of the character n-grams of measure repetition")
    samples: NonNegativeInt = Field(3, description="examples kept of what each rule removes, per input shard")
