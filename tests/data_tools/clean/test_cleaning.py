"""Texts are normalised, masked and filtered as configured, and every removal is counted with examples."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from taixue import UserError
from taixue.data_tools.clean import filters
from taixue.data_tools.clean.cleaner import EMPTY, Cleaner, merge
from taixue.data_tools.clean.config import FilterConfig, FilterRule, NormalizeConfig

CHINESE = "今天天气很好，我们去公园散步，看见许多花。" * 10
DIVERSE = "".join(f"第{k}天我们学习数字{37 * k}，" for k in range(40))
ENGLISH = "This is an English page with words that end well.\n" * 6


def _clean(filtering: FilterConfig | None, texts: list[str]) -> tuple[list[str], list[bool], dict]:
    cleaner = Cleaner(None, filtering)
    out, kept = cleaner.clean(texts)
    return out, kept.tolist(), cleaner.counts()


def test_nothing_configured_changes_nothing() -> None:
    assert _clean(None, ["ＡＢＣ  x", "y"])[:2] == (["ＡＢＣ  x", "y"], [True, True])


def test_normalize_and_mask() -> None:
    cleaner = Cleaner(NormalizeConfig(mask=("url", "mobile")), None)
    texts, kept = cleaner.clean(["ＡＢＣ，见 http://a.com/x ，电话13812345678。", "\u200b \n"])
    assert texts == ["ABC，见 [URL] ，电话[PHONE]。", ""]
    assert kept.tolist() == [True, False]
    counts = cleaner.counts()
    assert counts["masked"] == {"url": 1, "mobile": 1}
    assert counts["changed"] == 2
    assert counts["rules"][EMPTY]["documents"] == 1


def test_traditional_becomes_simplified() -> None:
    pytest.importorskip("opencc")
    texts, _ = Cleaner(NormalizeConfig(simplify=True), None).clean(["漢字與電腦"])
    assert texts == ["汉字与电脑"]


@pytest.mark.parametrize(
    ("preset", "good", "bad"),
    [
        ("pangu-alpha", CHINESE, [ENGLISH * 2, "太短。"]),
        ("chinese-webtext", DIVERSE, [CHINESE, ENGLISH, CHINESE.replace("见", "見")]),
        ("mnbvc", CHINESE, [ENGLISH, "一句。" + ENGLISH]),
        ("c4", ENGLISH, ["One sentence that ends here.", ENGLISH + "if (x) { return more and more words; }."]),
    ],
)  # fmt: skip
def test_presets(preset: str, good: str, bad: list[str]) -> None:
    _, kept, counts = _clean(FilterConfig(presets=(preset,)), [good, *bad])  # type: ignore[arg-type]
    assert kept == [True] + [False] * len(bad)
    removed = sum(entry["documents"] for entry in counts["rules"].values())
    assert removed == len(bad)
    assert all(rule.source for rule in (*filters.PRESETS[preset], *filters.LINE_PRESETS.get(preset, ())))  # type: ignore[index]


def test_the_first_broken_rule_counts() -> None:
    rules = (
        FilterRule(name="short", measure="characters", minimum=5),
        FilterRule(name="hanzi", measure="hanzi_ratio", minimum=0.5),
        FilterRule(name="words", measure="keywords", maximum=1, words=("广告", "优惠")),
    )
    texts = ["abc", "abcdefg", "广告广告优惠的文字", "这是好的文字。", "广告一次的文字"]
    _, kept, counts = _clean(FilterConfig(rules=rules, samples=1), texts)
    assert kept == [False, False, False, True, True]
    found = {
        name: (entry["documents"], entry["bytes"], entry["samples"])
        for name, entry in counts["rules"].items()
    }
    assert found["short"] == (1, 3, ["abc"])
    assert found["hanzi"] == (1, 7, ["abcdefg"])
    assert found["words"] == (1, 27, [texts[2]])


def test_line_rules_cut_lines_out() -> None:
    rule = FilterRule(name="navigation", measure="hanzi", minimum=4)
    text = "首页\n\n第一段的正文。\n\n更多\n\n第二段的正文。\n"
    out, kept, counts = _clean(FilterConfig(line_rules=(rule,)), [text, "首页", "没有短行的文字"])
    assert out == ["第一段的正文。\n\n第二段的正文。", "", "没有短行的文字"]
    assert kept == [True, False, True]
    assert counts["lines"]["navigation"]["documents"] == 3


def test_languages_by_script() -> None:
    texts = [
        "简体中文的句子。",
        "繁體中文書寫的句子。",
        "これは日本語の文です。",
        "한국어 문장입니다.",
        "English text.",
        "1234 ?!",
    ]
    measures = filters.Measures(texts, (), 13)
    assert [filters.LANGUAGES[k] for k in measures.languages()] == [
        "zh",
        "zh-hant",
        "ja",
        "ko",
        "latin",
        "other",
    ]
    _, kept, counts = _clean(FilterConfig(languages=("zh", "ja")), texts)
    assert kept == [True, False, True, False, False, False]
    assert counts["languages"]["zh"]["documents"] == 1
    assert counts["rules"]["language"]["documents"] == 4


@given(
    texts=st.lists(st.text(alphabet="今天天气abc，。\n 1", max_size=40), max_size=12),
    cut=st.integers(0, 12),
)
@settings(max_examples=60, deadline=None)
def test_counts_do_not_depend_on_batches(texts: list[str], cut: int) -> None:
    config = FilterConfig(
        rules=(FilterRule(name="hanzi", measure="hanzi_ratio", minimum=0.4),),
        line_rules=(FilterRule(name="line", measure="characters", minimum=2),),
    )
    whole = Cleaner(NormalizeConfig(), config)
    parts = Cleaner(NormalizeConfig(), config)
    out, kept = whole.clean(texts)
    first, second = parts.clean(texts[:cut]), parts.clean(texts[cut:])
    assert out == first[0] + second[0]
    assert kept.tolist() == np.concatenate([first[1], second[1]]).tolist()
    assert whole.counts() == parts.counts()


def test_merge() -> None:
    one = {"changed": 1, "rules": {"a": {"documents": 2, "bytes": 10, "samples": ["x", "y"]}}}
    two = {
        "changed": 2,
        "rules": {"a": {"documents": 1, "bytes": 5, "samples": ["z"]}, "b": {"documents": 1}},
    }
    assert merge([one, two], samples=2) == {
        "changed": 3,
        "rules": {"a": {"documents": 3, "bytes": 15, "samples": ["x", "y"]}, "b": {"documents": 1}},
    }


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="neither minimum nor maximum"):
        FilterRule(name="x", measure="hanzi")
    with pytest.raises(ValidationError, match="words or word_list"):
        FilterRule(name="x", measure="keywords", maximum=0)
    rule = FilterRule(name="x", measure="keywords", maximum=0, word_list=str(tmp_path / "absent"))
    with pytest.raises(UserError, match=r"word list .*absent: cannot be read"):
        Cleaner(None, FilterConfig(rules=(rule,)))


def test_stamp_follows_word_lists(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("广告\n", "utf-8")
    rule = FilterRule(name="x", measure="keywords", maximum=0, word_list=str(path))
    config = FilterConfig(rules=(rule,))
    before = Cleaner(None, config).stamp()
    assert before == Cleaner(None, config).stamp()
    path.write_text("广告\n优惠\n", "utf-8")
    assert before != Cleaner(None, config).stamp()
