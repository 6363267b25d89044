"""Held-out samples with what the model puts into their blanks, newest first, and what it put there before."""

from collections.abc import Sequence
from typing import Any

from taixue.base.language import Both, html
from taixue.base.page import escape

from .run_curves import by_sample, right_of
from .run_files import Sample

EARLIER = 8
"""Evaluations of a sample that are told beside the newest, evenly over the run."""

STYLE = """
.sample{line-height:1.9;overflow-wrap:anywhere;margin:6px 0}
.blank{border-radius:3px;padding:1px 3px;white-space:pre-wrap}
.right{background:color-mix(in srgb,var(--b) 30%,transparent)}
.wrong{background:color-mix(in srgb,var(--lost) 28%,transparent)}.wrong b{text-decoration:underline}
.blank small{color:var(--soft)}
"""


def samples_section(samples: Sequence[Sample]) -> str:
    """HTML."""
    note = Both(
        "Each blank shows the model's likeliest tokens. Green: as in the text. Orange: wrong, what stood there behind "
        "the arrow. Tokens of a blank are predicted with the right ones before them given (T5), or beside the other "
        "blanks (BERT), as in the loss.",
        "每个空格里是模型认为最可能的词元。绿色：与原文一致；橙色：不一致，箭头后为原文。同一空格中的词元，"
        "T5 在给定其前面正确词元的条件下预测，BERT 与其他空格同时预测，与损失的计算相同。",
    )
    parts = [f"<p class=none>{html(note)}</p>"]
    for (source, number), mine in by_sample(samples).items():
        last = mine[-1]
        right, whole = right_of(last)
        title = Both(
            f"{source}, sample {number + 1}, step {last.step:,}: {right} of {whole} tokens right",
            f"{source}，样本 {number + 1}，第 {last.step:,} 步：{whole} 个词元中 {right} 个正确",
        )
        parts.append(f"<h3>{html(title)}</h3><p class=sample>{_text(last.parts)}</p>{_earlier(mine)}")
    return "".join(parts)


def _text(parts: Sequence[Any]) -> str:
    return "".join(escape(part) if isinstance(part, str) else _blank(part) for part in parts)


def _blank(part: dict[str, list[str]]) -> str:
    target, fill = part["target"], part["fill"]
    if target == fill:
        return f'<span class="blank right">{escape("".join(fill))}</span>'
    shown = "".join(
        escape(got) if got == wanted else f"<b>{escape(got)}</b>"
        for got, wanted in zip(fill, target, strict=True)
    )
    return f'<span class="blank wrong">{shown}<small> → {escape("".join(target))}</small></span>'


def _earlier(mine: Sequence[Sample]) -> str:
    """The blanks alone, a line for each of a few evaluations before the last."""
    before = mine[:-1]
    if not before:
        return ""
    count = min(EARLIER, len(before))
    chosen = [before[round(k * (len(before) - 1) / max(count - 1, 1))] for k in range(count)]
    lines = []
    for sample in reversed(chosen):
        right, whole = right_of(sample)
        blanks = " ".join(_blank(part) for part in sample.parts if isinstance(part, dict))
        title = Both(
            f"step {sample.step:,}, {right} of {whole}: ", f"第 {sample.step:,} 步，{right}/{whole}："
        )
        lines.append(f"<p class=sample>{html(title)}{blanks}</p>")
    summary = html(Both("at earlier evaluations", "此前各次评测"))
    return f"<details><summary>{summary}</summary>{''.join(lines)}</details>"
