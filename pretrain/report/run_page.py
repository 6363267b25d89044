"""The page of one run: how it stands, what it learns, what it makes of samples, where time goes, what happened."""

import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import orjson

from taixue.base.charts import bars, number
from taixue.base.curves import Axis, Lane, Mark, chart, lanes
from taixue.base.language import Both, Text, html
from taixue.base.page import cards, document, escape, section, table

from ..observe.eta import Eta, duration
from .alarms import Alarm, alarms, end_of
from .run_curves import STEP, fills_right, held_out_names, losses, parts_of_step, quantity
from .run_files import RunFiles, seconds_of
from .samples_section import STYLE as SAMPLES_STYLE
from .samples_section import samples_section
from .time_spent import spent

SILENT_SECONDS = 600.0
"""A start without an end counts as gone without a report for so long, and for ten times what its last ones took."""
REFRESH_SECONDS = 60
MOST_ROWS = 50

_STYLE = (
    """
.alarms li{margin:3px 0}.alarms{border-left:3px solid var(--lost);padding-left:24px}td{vertical-align:top}
table.left td,table.left th{text-align:left;white-space:normal;overflow-wrap:anywhere}
.scroll{overflow-x:auto}.scroll table{min-width:520px}.config td{font-family:ui-monospace,monospace;font-size:12.5px}
"""
    + SAMPLES_STYLE
)


def page(run: RunFiles, now: float | None = None) -> str:
    """The page. now: seconds since 1970, when it is made."""
    made = time.time() if now is None else now
    state, running = _state(run, made)
    found = alarms(run)
    sections = [
        _cards(run, state, running),
        section(html(Both("To look at", "值得注意")), _alarms(run, found)),
        section(html(Both("Loss", "损失")), _losses(run, found)),
        section(html(Both("Samples, with the model's own fills", "样本与模型自己的填空")), _samples(run)),
        section(html(Both("Learning rate and gradient", "学习率与梯度")), _optimisation(run, found)),
        section(html(Both("Speed, and where the time goes", "速度与时间去向")), _speed(run, made)),
        section(html(Both("What happened", "经过")), _events(run, found, made)),
        section(html(Both("Configuration", "配置")), _configuration(run)),
    ]
    about = html(Both(f"as of {clock(made)}", f"截至 {clock(made)}"))
    where = escape(str(run.folder))
    name = f"<b>{escape(run.name)}</b> · {where} · {about}"
    refresh = REFRESH_SECONDS if running else 0
    return document(Both("Run", "训练"), name, sections, name=run.name, style=_STYLE, refresh=refresh)


def clock(seconds: float) -> str:
    """A time in UTC; "?" for none."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "?"


def _lasting(seconds: float) -> Both:
    """A duration in both languages."""
    said = duration(seconds)
    words = {"d": "天", "h": "小时", "min": "分", "s": "秒"}
    return Both(said, " ".join(words.get(part, part) for part in said.split()))


def _state(run: RunFiles, now: float) -> tuple[Text, bool]:
    """How the run stands, and whether it runs as far as its files tell."""
    last = run.starts[-1] if run.starts else None
    if last is not None and last.end is not None:
        return end_of(last, True), False
    times = [row.time for row in run.rows if not math.isnan(row.time)][-20:]
    if last is not None:
        times = times or [seconds_of(last.time)]
    gap = max((later - earlier for earlier, later in pairwise(times)), default=0.0)
    if times and now - times[-1] > max(SILENT_SECONDS, 10 * gap):
        return Both(f"silent since {clock(times[-1])}", f"自 {clock(times[-1])} 起没有动静"), False
    if last is None:
        return Both("without a record of its starts", "没有启动记录"), False
    return Both("running", "进行中"), True


def _cards(run: RunFiles, state: Text, running: bool) -> str:
    rows, last = run.training, run.training[-1].values if run.training else {}
    of = f" / {run.steps:,}" if run.steps else ""
    found: list[tuple[str, Text]] = [(html(state), Both("state", "状态"))]
    share = f" ({run.done / run.steps:.1%})" if run.steps else ""
    found.append((f"{run.done:,}{of}", Both(f"steps{share}", f"步{share}")))
    if running and run.steps:
        eta, left = Eta(run.steps), None
        began = seconds_of(run.starts[-1].time)
        for row in rows:
            if row.time >= began:
                left = eta.after({"step": row.step, "time": row.time, "loss": 0.0})
        if left is not None:
            found.append((html(_lasting(left)), Both("left", "剩余时间")))
    if "tokens" in last:
        found.append((number(last["tokens"]), Both("tokens learned from", "已学习的词元")))
    if "loss" in last:
        found.append((f"{last['loss']:.4f}", Both("training loss, nats", "训练损失（纳特）")))
    names = [name for name in held_out_names(run) if not name.endswith("-without-tags")]
    for name in names[:3]:
        known = [(row.values[name], row.step) for row in run.held_out if name in row.values]
        value, step = min(known)
        found.append((f"{value:.4f}", Both(f"best {name}, step {step:,}", f"{name} 最低值，第 {step:,} 步")))
    if "tokens_per_second" in last:
        found.append((number(last["tokens_per_second"]), Both("tokens/s", "词元/秒")))
    if "mfu" in last:
        found.append((f"{last['mfu']:.1%}", Both("of peak FLOPs (MFU)", "峰值算力利用率（MFU）")))
    if "memory" in last:
        found.append((f"{last['memory']:.2f} GiB", Both("most memory, rank 0", "0 号进程内存峰值")))
    return cards([(value, html(what)) for value, what in found])


def _alarms(run: RunFiles, found: Sequence[Alarm]) -> str:
    if not found:
        return ""
    newest = found[-8:]
    lines = [f"<li>{html(_at(alarm))}{html(alarm.what)}</li>" for alarm in reversed(newest)]
    more = len(found) - len(newest)
    rest = (
        f"<p class=none>{html(Both(f'and {more:,} earlier ones', f'另有 {more:,} 条更早的'))}</p>"
        if more
        else ""
    )
    return f"<ul class=alarms>{''.join(lines)}</ul>{rest}"


def _at(alarm: Alarm) -> Both:
    return Both(f"step {alarm.step:,}: ", f"第 {alarm.step:,} 步：") if alarm.step >= 0 else Both("", "")


def _marks(run: RunFiles, found: Sequence[Alarm]) -> list[Mark]:
    starts = [
        Mark(start.step, f"start {k + 1} / 第 {k + 1} 次启动")
        for k, start in enumerate(run.starts)
        if start.step
    ]
    return starts + [
        Mark(alarm.step, " / ".join(alarm.what), alarm=True) for alarm in found if alarm.step >= 0
    ]


def _losses(run: RunFiles, found: Sequence[Alarm]) -> str:
    nats = Axis(Both("nats per prediction", "每个预测的纳特数"), short=lambda value: f"{value:.4g}")
    marks = _marks(run, found)
    drawn = [chart(title, curves, STEP, nats, marks, log=True) for title, curves in losses(run)]
    note = html(
        Both(
            "Training loss is that of a step's global batch; held-out loss is the mean over the same windows each "
            "time, by source. A point is a report; where there are many, a band from the smallest to the largest.",
            "训练损失取自一步的全局批次；留出损失每次都在同样的窗口上按来源取平均。每个点是一次报告；"
            "点多时画成从最小值到最大值的带。",
        )
    )
    if not any(drawn):
        return f"<p class=none>{html(Both('no report yet', '尚无报告'))}</p>"
    return "".join(drawn) + _held_out_table(run) + f"<p class=none>{note}</p>"


def _held_out_table(run: RunFiles) -> str:
    rows = []
    for name in held_out_names(run):
        known = [
            (row.step, row.values[name])
            for row in run.held_out
            if math.isfinite(row.values.get(name, math.nan))
        ]
        if not known:
            continue
        best = min(known, key=lambda pair: pair[1])
        last = known[-1]
        perplexity = f"{math.exp(last[1]):,.4g}" if last[1] < 700 else "∞"
        cells = [
            f"{known[0][1]:.4f}",
            f"{best[1]:.4f} @ {best[0]:,}",
            f"{last[1]:.4f} @ {last[0]:,}",
            perplexity,
        ]
        rows.append([escape(name), *cells])
    head = [
        Both("held out", "留出"),
        Both("first", "首次"),
        Both("best @ step", "最低 @ 步"),
        Both("last @ step", "最近 @ 步"),
        Both("perplexity", "困惑度"),
    ]
    return _wide(table([*map(html, head)], rows)) if rows else ""


def _wide(made: str) -> str:
    return f'<div class="scroll">{made}</div>'


def _samples(run: RunFiles) -> str:
    if not run.samples:
        return ""
    right = Axis(Both("% of the tokens in blanks", "空格中词元的 %"), ends=(0.0, 100.0))
    drawn = chart(Both("Filled as it was", "与原文一致"), fills_right(run), STEP, right)
    return drawn + samples_section(run.samples)


def _optimisation(run: RunFiles, found: Sequence[Alarm]) -> str:
    marks = _marks(run, found)
    rate, norm = (
        Both("Learning rate", "学习率"),
        Both("Norm of the gradient before clipping", "裁剪前的梯度范数"),
    )
    return (
        chart(rate, quantity(run, "lr"), STEP, Axis(rate), marks)
        + chart(norm, quantity(run, "grad_norm"), STEP, Axis(Both("L2 norm", "L2 范数")), marks, log=True)
        + chart(
            Both("Loss scale", "损失缩放系数"),
            quantity(run, "loss_scale"),
            STEP,
            Axis(Both("factor", "倍数")),
            log=True,
        )
    )


def _speed(run: RunFiles, now: float) -> str:
    tokens = Both("Tokens per second, over all ranks", "每秒词元数（所有进程合计）")
    out = [chart(tokens, quantity(run, "tokens_per_second"), STEP, Axis(Both("tokens/s", "词元/秒")))]
    mfu = Both("Model FLOPs over peak FLOPs", "模型算力 / 峰值算力")
    out.append(chart(mfu, quantity(run, "mfu", 100.0), STEP, Axis("%")))
    shares = spent(run, now)
    if shares:
        whole = math.fsum(shares.values())
        title = Both(f"Of {_lasting(whole).en} of the run's starts", f"各次启动共 {_lasting(whole).zh}")
        out.append(
            f"<h3>{html(title)}</h3>{bars({name: 100 * part / whole for name, part in shares.items()}, ' %')}"
        )
    parts = Both("Time of a step, and its parts on rank 0", "一步的时间及其在 0 号进程上的组成")
    out.append(chart(parts, parts_of_step(run), STEP, Axis(Both("seconds", "秒")), log=True))
    return "".join(out)


def _events(run: RunFiles, found: Sequence[Alarm], now: float) -> str:
    times = [seconds_of(start.time) for start in run.starts] + [row.time for row in run.rows]
    known = [moment for moment in times if math.isfinite(moment)]
    if not known:
        return _starts_table(run)
    ends = [seconds_of(start.end.time) for start in run.starts if start.end] + [
        when for when, _ in run.warnings
    ]
    zero, end = min(known), max([*known, *filter(math.isfinite, ends)])
    last = run.starts[-1] if run.starts else None
    if last is not None and last.end is None:
        end = max(end, min(now, end + 60))
    unit, size = _unit(max(end - zero, 1e-3))
    spans = []
    for place, start in enumerate(run.starts):
        begin = seconds_of(start.time)
        before = [seconds_of(run.starts[place + 1].time)] if place + 1 < len(run.starts) else [end]
        over = seconds_of(start.end.time) if start.end else _last_sign(run, begin, before[0])
        if math.isfinite(begin) and math.isfinite(over):
            words = end_of(start, place + 1 == len(run.starts))
            bad = start.end is None and place + 1 < len(run.starts)
            bad = bad or (start.end is not None and start.end.why in ("error", "diverged"))
            spans.append(
                ((begin - zero) / size, (over - zero) / size, f"{place + 1}: {' / '.join(words)}", bad)
            )

    def placed(pairs: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
        inside = [(moment, what) for moment, what in pairs if zero <= moment <= end]
        return [((moment - zero) / size, what) for moment, what in inside]

    rows = [
        Lane(Both("starts", "启动"), spans=spans),
        Lane(
            Both("evaluations", "评测"), events=placed([(row.time, f"{row.step:,}") for row in run.held_out])
        ),
        Lane(Both("saves", "保存"), events=placed([(row.time, f"{row.step:,}") for row in run.saves])),
        Lane(
            Both("alarms", "警报"),
            events=placed([*((a.time, " / ".join(a.what)) for a in found), *run.warnings]),
        ),
    ]
    words = Both(f"{unit.en} since {clock(zero)}", f"自 {clock(zero)} 起的{unit.zh}")
    return lanes(Both("On the clock", "时间轴"), rows, Axis(words)) + _starts_table(run) + _warnings(run)


def _last_sign(run: RunFiles, begin: float, end: float) -> float:
    """When a start without an end was last heard of."""
    rows = [*run.rows, *(row for part in run.abandoned for row in part)]
    return max([row.time for row in rows if begin <= row.time <= end], default=begin)


def _unit(seconds: float) -> tuple[Both, float]:
    """What a time axis of that length is told in."""
    for size, words in (
        (172800, Both("days", "天数")),
        (7200, Both("hours", "小时数")),
        (120, Both("minutes", "分钟数")),
    ):
        if seconds > size:
            return words, {172800: 86400.0, 7200: 3600.0, 120: 60.0}[size]
    return Both("seconds", "秒数"), 1.0


def _starts_table(run: RunFiles) -> str:
    rows = []
    for place, start in enumerate(run.starts):
        origin: Text = {
            "checkpoint": Both(f"checkpoint of step {start.step:,}", f"第 {start.step:,} 步的检查点"),
            "seed": Both(f"random weights, seed {start.origin.seed}", f"随机权重，种子 {start.origin.seed}"),
            "folder": Both(f"folder {start.origin.path}", f"文件夹 {start.origin.path}"),
        }[start.origin.kind]
        layout = " x ".join(f"{axis} {size}" for axis, size in start.layout.items() if size > 1)
        code = start.code.version + (f" {start.code.revision[:10]}" if start.code.revision else "")
        ended = end_of(start, place + 1 == len(run.starts))
        step = f" @ {start.end.step:,}" if start.end else ""
        rows.append(
            [
                str(place + 1),
                escape(clock(seconds_of(start.time))),
                html(origin),
                escape(f"{start.ranks}" + (f" ({layout})" if layout else "")),
                escape(code + ("+" if start.code.dirty else "")),
                html(ended) + step,
            ]
        )
    head = [
        Both("start", "启动"),
        Both("when", "时间"),
        Both("from", "起点"),
        Both("ranks", "进程数"),
        Both("Taixue", "太学"),
        Both("end @ step", "结束 @ 步"),
    ]
    return _wide(_left(table([*map(html, head)], rows[-MOST_ROWS:]))) if rows else ""


def _left(made: str) -> str:
    return made.replace("<table>", '<table class="left">', 1)


def _warnings(run: RunFiles) -> str:
    if not run.warnings:
        return ""
    rows = [[escape(clock(moment)), escape(message)] for moment, message in run.warnings[-MOST_ROWS:]]
    title = html(
        Both(f"warnings of rank 0: {len(run.warnings):,}", f"0 号进程的警告：{len(run.warnings):,} 条")
    )
    head = [html(Both("when", "时间")), html(Both("message", "消息"))]
    return f"<details><summary>{title}</summary>{_left(table(head, rows))}</details>"


def _configuration(run: RunFiles) -> str:
    rows = []
    for place, start in enumerate(run.starts):
        for key, (before, after) in start.changes.items():
            rows.append([str(place + 1), f"{start.step:,}", escape(key), _value(before), _value(after)])
    head = [
        Both("start", "启动"),
        Both("from step", "自第几步"),
        Both("key", "键"),
        Both("before", "之前"),
        Both("since", "之后"),
    ]
    changed = (
        f"<h3>{html(Both('Changed between starts', '各次启动之间的改动'))}</h3>"
        + _wide(_left(table([*map(html, head)], rows[-MOST_ROWS:])))
        if rows
        else ""
    )
    whole = [[escape(key), _value(value)] for key, value in flat(run.config)]
    if not whole:
        return changed
    title = html(Both("All keys of the last start", "最近一次启动的全部键"))
    shown = _left(table([html(Both("key", "键")), html(Both("value", "值"))], whole))
    return f'{changed}<details class="config"><summary>{title}</summary>{shown}</details>'


def flat(config: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Dotted keys and values."""
    found: list[tuple[str, Any]] = []
    for key, value in config.items():
        name = f"{before}{key}"
        found += flat(value, f"{name}.") if isinstance(value, Mapping) and value else [(name, value)]
    return found


def _value(value: Any) -> str:
    try:
        return escape(value if isinstance(value, str) else orjson.dumps(value).decode())
    except (TypeError, orjson.JSONEncodeError):
        return escape(repr(value))
