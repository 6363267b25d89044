"""The page of a run says what its files say, whatever is in them."""

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest

from taixue import UserError
from taixue.pretrain.report import report
from taixue.pretrain.report.alarms import alarms
from taixue.pretrain.report.run_curves import fills_right, losses
from taixue.pretrain.report.run_files import read_run
from taixue.pretrain.report.run_page import page
from taixue.pretrain.report.time_spent import spent

from .made_runs import BEGAN, evaluation, fill, iso, made, reports, save, start

HOSTILE = "</script></title><img src=x onerror=alert(1)>&\"'"


class Balanced(HTMLParser):
    """Every element is closed where it was opened, and none is of a kind that runs or loads anything but our script."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)
        if tag not in ("meta", "input"):
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag


def checked(html: str) -> str:
    reader = Balanced()
    reader.feed(html)
    assert not reader.opened
    assert "img" not in reader.seen
    assert html.count("<script") == 1
    return html


def two_starts(folder: Path) -> Path:
    """Stopped hard at step 300, done again from 200 with another rate, and finished."""
    lost = [*reports(210, 300, 200), evaluation(300, 300, web=3.0)]
    metrics = [
        *reports(10, 100, 0), evaluation(100, 105, web=4.0, wiki=4.5), save(100, 106),
        *reports(110, 200, 106), evaluation(200, 210, web=3.5, wiki=4.0), save(200, 211),
        *reports(210, 1000, 1000), evaluation(600, 1400, web=2.5, wiki=3.0), evaluation(1000, 1800, web=2.75, wiki=2.5),
        save(1000, 1805),
    ]  # fmt: skip
    starts = [
        start(0, 0, None),
        start(200, 990, (1000, "finished", "", 1810), changes={"optimizer.lr": (0.02, 0.01)}),
    ]
    steps = {100: "上海", 200: "北海", 300: "东西", 600: "北海", 1000: "北京"}
    fills = [fill(step, ["北", "京"], list(got)) for step, got in steps.items()]
    log = f"{iso(BEGAN + 50).replace('+00:00', '.250Z')} WARNING the disk is slow\n    more\nnonsense\n"
    return made(folder, metrics, starts, lost, fills, log)


def test_all_there_is_to_say(tmp_path: Path) -> None:
    (path,) = report([two_starts(tmp_path / "made")])
    assert path == tmp_path / "made" / "index.html"
    html = checked(path.read_text())
    for said in (
        "finished", "1,000 / 1,000", "100.0 k", "eval/web/span", "2.5000 @ 600", "2.7500 @ 1,000", "15.64",
        "it was lowest at step 600 (2.5000), the newest weights are not the best", "最新的权重并非最好",
        "optimizer.lr", "0.01", "start 1 killed", "1.0 abcdef0123", "the disk is slow", "2 (dp_shard 2)",
        "loss/span", "grad_norm", "tokens_per_second", "data_wait", "checkpoint of step 200", "2 of 2 tokens right",
        "minutes since", "分钟数",
    ):  # fmt: skip
        assert said in html, said
    assert "http-equiv" not in html, "a finished run does not change"
    assert len(html) < 300_000


def test_the_later_start_wins_and_the_abandoned_part_is_grey(tmp_path: Path) -> None:
    run = read_run(two_starts(tmp_path / "made"))
    ((name, curves),) = losses(run)
    assert name == "span"
    grey = [curve for curve in curves if curve.abandoned]
    assert [(curve.name, curve.points[0][0], curve.points[-1][0]) for curve in grey] == [
        ("loss/span", 210, 300), ("eval/web/span", 300, 300),
    ]  # fmt: skip
    train = next(curve for curve in curves if curve.name == "loss/span" and not curve.abandoned)
    assert [x for x, _ in train.points] == list(range(10, 1001, 10))
    (filled,) = fills_right(run)
    assert filled.points == [(100, 0.0), (200, 50.0), (300, 0.0), (600, 50.0), (1000, 100.0)]

    # Files of both starts put together by hand: the same, by the order of the lines.
    folder = tmp_path / "made"
    whole = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    cut = next(k for k, line in enumerate(whole) if orjson.loads(line)["time"] > BEGAN + 900)
    lost = (folder / "metrics-abandoned.jsonl").read_bytes()
    (folder / "metrics.jsonl").write_bytes(b"".join(whole[:cut]) + lost + b"".join(whole[cut:]))
    (folder / "metrics-abandoned.jsonl").unlink()
    again = read_run(folder)
    assert again.training == run.training
    assert sorted(row.step for part in again.abandoned for row in part) == [*range(210, 301, 10)]

    # A kill between the two writes of a resume leaves lines in both files: they are not abandoned.
    (folder / "metrics-abandoned.jsonl").write_bytes(lost + lost)
    (folder / "metrics.jsonl").write_bytes(b"".join(whole[:cut]) + lost)
    assert read_run(folder).abandoned == []


def test_the_time_adds_up_to_what_the_starts_took(tmp_path: Path) -> None:
    run = read_run(two_starts(tmp_path / "made"))
    found = {words[0]: seconds for words, seconds in spent(run, BEGAN + 5000).items()}
    assert found["waiting for data"] == pytest.approx(100)
    assert found["evaluation"] == pytest.approx(16)
    assert found["done again after a restart"] == pytest.approx(90 * 0.8 + 4)
    assert math.fsum(found.values()) == pytest.approx(301 + 820, abs=20)  # seconds of start 1 and 2


def test_a_run_that_goes_on_tells_when_it_ends(tmp_path: Path) -> None:
    folder = made(tmp_path / "made", reports(10, 500, 0), [start(0, 0, None)])
    html = checked(page(read_run(folder), now=BEGAN + 505))
    assert "running" in html
    assert '<b><span lang="en">8 min 20 s</span>' in html, "500 steps of a second"
    assert 'http-equiv="refresh"' in html
    later = page(read_run(folder), now=BEGAN + 5000)
    assert "silent since" in later
    assert 'http-equiv="refresh"' not in later


def test_alarms(tmp_path: Path) -> None:
    metrics = reports(10, 1000, 0)
    metrics[40] |= {"grad_norm": 37.0}
    metrics[60] |= {"loss": 9.0}
    metrics[70] |= {"skipped": 1, "loss": None}
    for record in metrics[-20:]:
        record["data_wait"] = 0.4
    starts = [start(0, 0, (1000, "diverged", "step 1001: loss nan", 1100))]
    found = alarms(read_run(made(tmp_path / "made", metrics, starts)))
    assert [(alarm.step, alarm.what.en) for alarm in found] == [
        (410, "gradient norm 37, 37.0 times its median before"),
        (610, found[1].what.en),
        (710, "left out: the gradient overflowed (fp16)"),
        (1000, "start 1 diverged: step 1001: loss nan"),
        (1000, "50% of the last steps' time is spent waiting for data"),
    ]
    assert found[1].what.en.startswith("training loss 9, ")


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    metrics = [
        *reports(10, 50, 0, **{f"loss/{HOSTILE}": 1.0}),
        {
            "step": 50,
            "time": BEGAN + 60,
            f"eval/{HOSTILE}/{HOSTILE}": 2.0,
            f"eval/{HOSTILE}/{HOSTILE}-without-tags": 3,
        },
    ]
    config = {"name": HOSTILE, "steps": 100, HOSTILE: {HOSTILE: HOSTILE}}
    starts = [
        start(0, 0, (50, "error", HOSTILE, 70), config=config, layout={HOSTILE: 2}),
        start(50, 80, None, config=config, changes={HOSTILE: (HOSTILE, [HOSTILE])}),
    ]
    fills = [fill(50, [HOSTILE], [HOSTILE[1:]], HOSTILE) | {"source": HOSTILE}]
    log = f"{iso(BEGAN + 5).replace('+00:00', 'Z')} ERROR {HOSTILE}\n"
    folder = made(tmp_path / "made", metrics, starts, metrics, fills, log)
    checked(report([folder])[0].read_text())
    other = made(tmp_path / HOSTILE.replace("/", ""), metrics, starts)
    for path in report([folder, other]):
        checked(path.read_text())


def test_lines_that_are_no_records(tmp_path: Path) -> None:
    folder = made(tmp_path / "made", reports(10, 20, 0))
    good = read_run(folder)
    bad = [
        b"[1]", b'"x"', b"null", b'{"loss": 1}', b'{"step": "7", "loss": 1}', b'{"step": -1, "loss": 1}', b'{"st',
        b'{"step": true, "loss": 1}', b"\xff\xfe", b"[" * 5000, b'{"step": 1.5}',
    ]  # fmt: skip
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b"\n".join(bad) + b"\n")
    (folder / "fills.jsonl").write_bytes(
        b'{"step":1,"source":"a","number":0,"parts":[{"target":["a"],"fill":[]}]}\n'
        b'{"step":1,"source":"a","number":0,"parts":[3]}\n{"step":1,"source":2}\n'
    )
    run = read_run(folder)
    assert run.training == good.training
    assert run.samples == []
    odd = {
        "step": 30,
        "time": "late",
        "loss": 1e99,
        "lr": "high",
        "loss/span": None,
        "tokens": 10**30,
        "mfu": True,
    }
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(orjson.dumps(odd | {"tokens": 2**63}) + b"\n")
    row = read_run(folder).training[-1]
    assert (row.step, math.isnan(row.time), math.isnan(row.values["loss/span"])) == (30, True, True)
    assert not {"lr", "mfu"} & row.values.keys()
    checked(page(read_run(folder)))


def test_folders_with_little_in_them(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"none: no folder of a run: neither metrics\.jsonl nor"):
        report([tmp_path / "none"])
    made(tmp_path / "started", starts=[start(0, 0, None)])
    assert "no report yet" in checked(report([tmp_path / "started"])[0].read_text())
    old = [{key: value for key, value in record.items() if key != "time"} for record in reports(10, 50, 0)]
    made(tmp_path / "old", old)  # before there were times and a history
    (tmp_path / "old" / "config.yaml").write_text("name: old\nsteps: 80\n")
    html = checked(report([tmp_path / "old"])[0].read_text())
    assert "without a record of its starts" in html
    assert "50 / 80" in html
    with pytest.raises(UserError, match="cannot be written"):
        report([tmp_path / "old"], Path("/proc/nowhere/page.html"))


def test_a_long_run_makes_a_small_page_in_a_short_time(tmp_path: Path) -> None:
    run = read_run(made(tmp_path / "made", reports(10, 1_000_000, 0, every=50), [start(0, 0, None)]))
    html = page(run)
    assert len(run.training) == 20_000
    assert len(html) < 400_000
    assert len(re.findall("<polygon", html)) >= 3
