"""Evaluation sets: what is looked for in files of any kind, counted by set; planted rows are found."""

from pathlib import Path

import orjson
import pytest

from taixue.base import UserError
from taixue.data_tools.clean.config import NormalizeConfig
from taixue.data_tools.config import DecontaminateConfig
from taixue.data_tools.passes.contamination import EvaluationSets, merge_sets

from ..planted_evaluation import edited, evaluation_rows, recall, verbatim

_PAIRS = [
    ("明天会下雨吗", "明天的天气怎么样", "是"),
    ("怎么把屏幕调亮一点", "屏幕太暗了看不清", "是"),
    ("帮我订一张去广州的高铁票", "今晚吃什么好呢", "否"),
    ("灯关了", "把客厅的灯关掉", "是"),
    ("kettle77", "KettleB7", "否"),
]
_CLEAN = [
    "山里的雾气散得很慢。樵夫挑着柴下来，路过溪边时歇了一歇！水声很响。",
    "他们在窑前守了一夜，等瓷器慢慢冷下来。\n天亮以后，掌柜才打开窑门。",
]


def _write(folder: Path) -> None:
    (folder / "pairs").mkdir(parents=True)
    lines = [orjson.dumps({"a": a, "b": b, "label": label}) for a, b, label in _PAIRS]
    (folder / "pairs" / "dev.json").write_bytes(b"\n".join(lines))
    (folder / "pairs" / "unlabeled.json").write_bytes(lines[0])


def test_every_field_with_text_is_covered_and_counted(tmp_path: Path) -> None:
    _write(tmp_path)
    sets = EvaluationSets(DecontaminateConfig(inputs=(str(tmp_path),), preset="fewclue"))
    covered = sets.coverage["pairs"]
    assert covered["rows"] == 5
    assert covered["texts"] == 10
    assert (covered["clauses"], covered["lines"], covered["not covered"]) == (7, 3, 0)
    counts = [sets.counts(hits) for hits in ({0: 2}, {0: 1})]  # type: ignore[arg-type]
    assert merge_sets(counts)["pairs"]["documents"] == 3


def test_planted_rows_are_found_and_clean_documents_stay(tmp_path: Path) -> None:
    _write(tmp_path)
    sets = EvaluationSets(DecontaminateConfig(inputs=(str(tmp_path),), preset="fewclue"))
    assert sets.find(_CLEAN) == []
    [(name, rows)] = evaluation_rows(tmp_path)
    assert name == "pairs"
    assert recall(sets, rows, _CLEAN, verbatim, seed=1) == 1
    several_words = rows[:-1]  # a single one must be equal
    assert recall(sets, several_words, _CLEAN, edited, seed=1) == 1


@pytest.mark.parametrize("kind", ["array.json", "table.csv", "table.tsv", "gbk.jsonl", "rows.parquet"])
def test_kinds_of_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    rows = [{"question": f"第{name}个仓库里放的是什么货", "n": "x"} for name in "甲乙丙"]
    if kind == "array.json":
        path.write_bytes(orjson.dumps(rows))
    elif kind == "gbk.jsonl":
        path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows).decode().encode("gb18030"))
    elif kind == "rows.parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pytest.importorskip("pyarrow").Table.from_pylist(rows), path)
    else:
        mark = "," if kind.endswith("csv") else "\t"
        path.write_text(
            "".join(mark.join(row) + "\n" for row in [("question", "n"), *(r.values() for r in rows)])
        )
    sets = EvaluationSets(DecontaminateConfig(inputs=(str(path),)))
    assert sets.coverage[kind]["texts"] == 3
    assert len(sets.find(["她问：第乙個倉庫裡放的是什麼貨？"])) == 1


def test_forms_of_normalised_documents(tmp_path: Path) -> None:
    """With html or masks the corpus lost what evaluation texts still have."""
    path = tmp_path / "dev.jsonl"
    path.write_bytes(orjson.dumps({"q": "有事请写信到&nbsp;someone@example.com 联系窗口的同事"}))
    config = DecontaminateConfig(inputs=(str(path),))
    normalize = NormalizeConfig(html=True, mask=("email",))
    texts = ["有事请写信到 [EMAIL] 联系窗口的同事"]
    assert EvaluationSets(config).find(texts) == []
    assert len(EvaluationSets(config, [normalize]).find(texts)) == 1


def test_a_second_label_that_few_rows_have_is_a_label(tmp_path: Path) -> None:
    path = tmp_path / "dev.jsonl"
    rows = [
        {"q": f"第{name}间铺子卖的是什么", "label": label}
        for name, label in zip("甲乙丙丁", ["neutral", "entailment"] * 2, strict=True)
    ]
    rows[0] |= {"label4": "neutral"}
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    sets = EvaluationSets(DecontaminateConfig(inputs=(str(path),)))
    assert sets.coverage["dev.jsonl"]["texts"] == 4
    assert sets.find(["两份意见\nneutral\n各有道理"]) == []


def test_a_file_without_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "dev.jsonl"
    path.write_text('{"n": 1, "label": "0"}\n{"n": 2, "label": "0"}\n')
    with pytest.raises(UserError, match=r"dev\.jsonl: .* no text that is no label; its fields: label"):
        EvaluationSets(DecontaminateConfig(inputs=(str(path),)))
