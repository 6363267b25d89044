"""What `taixue masks` counts is what a brute count finds, and its page holds what it should."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taixue import UserError
from taixue.data_tools.shards import sidecar
from taixue.pretrain.config.schema import DataConfig, RunConfig, SourceConfig, SpanCorruptionConfig, T5Config
from taixue.pretrain.masks import report_masks
from taixue.pretrain.masks.drawn import runs
from taixue.pretrain.masks.measures import Measures

from ...data_tools.texts import make_corpus, make_texts, make_tokenizer
from ..objectives.annotated import windows


def test_measures_equal_a_brute_count() -> None:
    tokens, rows = windows(5, 120, seed=4)
    random = np.random.default_rng(0)
    special = tokens == 3
    numbers = runs((random.random(tokens.shape) < 0.3) & ~special)
    measures = Measures()
    measures.add(numbers[:2], special[:2], rows[:2], [3])
    measures.add(numbers[2:], special[2:], rows[2:], [3])
    facts = measures.facts()
    assert facts["mask_rate"] == (numbers > 0).sum() / (~special).sum()
    touched = whole = units = cut = words = 0
    lengths: list[int] = []
    for row in range(5):
        lengths += [int((numbers[row] == span).sum()) for span in range(1, int(numbers[row].max()) + 1)]
        flags = rows["flags"][row]
        begins = [0, *(np.flatnonzero(flags[1:] & sidecar.UNIT) + 1).tolist(), 120]
        for begin, end in pairwise(begins):
            held = numbers[row, begin:end].tolist()
            if special[row, begin] or not any(held):
                continue
            words += 1
            cut += len(set(held)) > 1
            if rows["entity"][row, begin]:
                touched += 1
                whole += len(set(held)) == 1
        units += int((flags & sidecar.ENTITY != 0).sum())
    assert facts["entities_in_one_span"] == whole / touched
    assert facts["words_cut"] == cut / words
    assert abs(facts["units"]["entity"] - units) <= 5  # a window may begin inside one
    assert facts["spans"] == len(lengths)
    assert facts["span_lengths"][1] == lengths.count(1)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    folder = tmp_path_factory.mktemp("masks")
    tokenizer = make_tokenizer(folder / "tokenizer", "t5", sentinels=20)
    corpus = make_corpus(folder / "corpus", tokenizer, {"web": make_texts(60, seed=1)}, annotate={})
    return RunConfig(
        name="masked",
        runs=str(folder / "runs"),
        eval_every=0,
        model=T5Config(vocab_size=512),
        data=DataConfig(tokenizer=str(tokenizer), sources=(SourceConfig(corpus=str(corpus)),)),
        objective=SpanCorruptionConfig(input_length=64, spans="knowledge"),
    )


def test_report(run: RunConfig, capsys: pytest.CaptureFixture[str]) -> None:
    page = report_masks(run, samples=2, windows=50, out=None)
    assert page == Path(run.runs) / "masked/masks/masks.html"
    facts: dict[str, Any] = json.loads(page.with_suffix(".json").read_text())
    ours, plain = facts["maskers"]["this run"], facts["maskers"]["T5's random spans"]
    assert ours["words_cut"] <= plain["words_cut"]
    assert ours["connectives_masked"] > plain["connectives_masked"]
    assert abs(ours["mask_rate"] - 0.15) < 0.02
    assert facts["packing"]["filled"] == 1.0
    html = page.read_text()
    assert html.count("<section>") == 7
    assert "<mark class=s" in html
    assert "http" not in html
    shown = capsys.readouterr().out
    assert "sample 1 from web" in shown
    assert "words cut" in shown


@pytest.mark.parametrize(
    "objective", [{"kind": "ul2", "input_length": 256}, {"kind": "prefix-lm", "input_length": 64}]
)
def test_other_objectives(run: RunConfig, objective: dict[str, Any], tmp_path: Path) -> None:
    other = RunConfig.model_validate(run.model_dump() | {"objective": objective})
    facts = json.loads(report_masks(other, 1, 20, tmp_path).with_suffix(".json").read_text())
    assert facts["maskers"]["this run"]["mask_rate"] > 0.1
    with pytest.raises(UserError, match="--windows 0"):
        report_masks(other, 1, 0, tmp_path)


def test_starts_without_torch() -> None:
    code = "import sys, taixue.pretrain.masks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
