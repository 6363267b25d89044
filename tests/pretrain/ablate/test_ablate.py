"""`taixue ablate` trains with the ordinary loop, compares on the same cases, and goes on where it was."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from taixue import UserError
from taixue.pretrain.ablate.compare import differences, variants
from taixue.pretrain.config.schema import RunConfig

from ..run.runs import BERT, bert, settings


def ablate(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "taixue.launch.cli", "ablate", str(config), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "160"}
    return subprocess.run(program, capture_output=True, text=True, timeout=200, env=environment, check=False)


def values(annotated: dict[str, str], tmp_path: Path) -> dict[str, Any]:
    run = settings(tmp_path, annotated, name="a", steps=3, eval_every=0) | bert(annotated)
    run["model"] = BERT | {"dropout": 0.0}
    run["objective"] = run["objective"] | {"units": {"weights": {"idiom": 0}}}
    return run


def test_plain_and_knowledge_are_compared(annotated: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(values(annotated, tmp_path)))
    (tmp_path / "chid").mkdir()
    record = {"candidates": ["看见", "听说", "喜欢"], "content": "我们#idiom#春天", "answer": 1}
    (tmp_path / "chid" / "dev_0.json").write_bytes(orjson.dumps(record))
    words = ["--seeds", "2", "--cases", "20", "--chid", str(tmp_path / "chid")]
    done = ablate(config, *words)
    assert done.returncode == 0, done.stderr
    assert "difference" in done.stdout
    facts = orjson.loads((tmp_path / "runs" / "a-ablation" / "ablation.json").read_bytes())
    assert facts["cases"] == {"word": 20, "entity": 20, "connective": 20, "chid": 1}
    assert {name: o["masking"] for name, o in facts["objectives"].items()} == {
        "plain": "token",
        "knowledge": "knowledge",
    }
    for measures in facts["results"].values():
        for by_variant in measures.values():
            assert {name: len(numbers) for name, numbers in by_variant.items()} == {
                "plain": 2,
                "knowledge": 2,
            }
    page = (tmp_path / "runs" / "a-ablation" / "ablation.html").read_text()
    assert page.count("<circle") == 2 * 4 * 4
    again = ablate(config, *words)  # nothing is trained twice
    assert "is finished" in again.stdout + again.stderr
    assert orjson.loads((tmp_path / "runs" / "a-ablation" / "ablation.json").read_bytes()) == facts


def test_variants_differ_in_their_masks_alone(annotated: dict[str, str], tmp_path: Path) -> None:
    run = RunConfig.model_validate(values(annotated, tmp_path))
    run = run.model_copy(update={"objective": run.objective.model_copy(update={"masking": "discourse"})})
    plain, knowledge = (config.model_dump() for config in variants(run).values())
    assert plain["objective"].pop("masking") == "token"
    assert knowledge["objective"].pop("masking") == "discourse"
    assert plain == knowledge


def test_differences_are_taken_seed_by_seed() -> None:
    found = differences({"word": {"loss": {"plain": [5.0, 6.0, 7.0], "knowledge": [4.0, 5.0, 6.5]}}})
    assert found["word"]["loss"]["mean"] == pytest.approx(-2.5 / 3)
    assert found["word"]["loss"]["standard_error"] == pytest.approx(1 / 6)


def test_what_has_no_counterpart_is_refused(annotated: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(values(annotated, tmp_path)))
    done = ablate(config, "--seeds", "1")
    assert done.returncode == 2
    assert "--seeds 1: a spread needs at least 2" in done.stderr
    run = RunConfig.model_validate(settings(tmp_path, annotated, objective={"kind": "prefix-lm"}))
    with pytest.raises(UserError, match="prefix-lm has no plain counterpart; legal: mlm, span-corruption"):
        variants(run)
