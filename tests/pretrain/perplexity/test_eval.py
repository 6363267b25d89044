"""`taixue eval`: the numbers of a run's own evaluation, and those of transformers on the same samples; refusals."""

import json
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch.nn.functional import cross_entropy
from transformers import AutoModel, BertForPreTraining

from taixue import UserError
from taixue.base.load import write_resolved
from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.launch.cli import main
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.data import open_data
from taixue.pretrain.export import to_hf
from taixue.pretrain.models import FAMILIES
from taixue.pretrain.objectives import build_objective
from taixue.pretrain.observe.evaluations import read_evaluations
from taixue.pretrain.perplexity import evaluate

from ...dist import run_ranks
from ...parity.models import skip_unless_right
from ..export.conftest import CONFIGS
from ..export.test_folder import write_hf
from ..run.runs import bert, folder, go, settings

Made = dict[str, str]


def asked(model: Path, **options: Any) -> dict[str, Any]:
    found = evaluate(model, options.pop("corpora", []), device="cpu", windows=5, **options)
    assert found is not None
    return found


@torch.no_grad()
def theirs(model: Path, run: RunConfig) -> dict[str, tuple[float, int]]:
    """By loss, nats and predictions of transformers on five held-out windows, as the run masks them."""
    family, tokenizer = FAMILIES.of(run.model), load_tokenizer(run.data.tokenizer)
    data = open_data(run, tokenizer, build_objective(run.objective, tokenizer))
    arrays = data.validation()["sample"][range(5)]
    batch = {name: torch.from_numpy(array).long() for name, array in arrays.items()}
    labels = {name: batch.pop(key) for name, key in family.losses(run.model).items() if key in batch}
    loaded = getattr(transformers, family.hf.auto_class).from_pretrained(model, dtype=torch.float32).eval()
    out, found = loaded(**batch), {}
    for (name, expected), key in zip(labels.items(), family.hf.outputs, strict=True):
        nats = cross_entropy(out[key].flatten(0, -2), expected.flatten(), ignore_index=-100)
        found[name] = (nats.item(), int((expected != -100).sum()))
    return found


@pytest.mark.parametrize("name", ["t5-v1.0", "t5-v1.1", "umt5", "bert", "megatron-bert", "albert"])
def test_a_hugging_face_folder_is_measured_as_transformers_does(
    name: str, made: Made, tmp_path: Path
) -> None:
    model = CONFIGS[name]
    skip_unless_right(model)
    family = FAMILIES.of(model)
    hf = write_hf(tmp_path / "hf", model, Path(made[family.tokenizer]))
    corpus = made[f"{family.tokenizer}-corpus"]
    values: dict[str, Any] = {
        "model": model,
        "objective": {"kind": family.objectives[0], "input_length": 24},
        "data": {"tokenizer": str(hf), "sources": [{"corpus": corpus}]},
        "eval_windows": 5,
    }
    run = RunConfig.model_validate(values)
    write_resolved(run, tmp_path / "asked.yaml")
    found = asked(hf, corpora=[corpus], objective=str(tmp_path / "asked.yaml"))
    measured, expected = found["sources"]["sample"]["losses"], theirs(hf, run)
    assert set(measured) == set(expected) == ({"mlm", "sop"} if family.tokenizer == "bert" else {"span"})
    for key, (loss, predictions) in expected.items():
        assert measured[key]["loss"] == pytest.approx(loss, abs=1e-5)
        assert measured[key]["perplexity"] == pytest.approx(exp(measured[key]["loss"]))
        assert measured[key]["predictions"] == predictions
    assert found["eval_loss"] == pytest.approx(sum(numbers["loss"] for numbers in measured.values()))


@pytest.mark.parametrize("kind", ["t5", "bert"])
def test_a_run_and_its_export_get_what_the_run_measured(
    kind: str, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ordered = {"objective": {"kind": "mlm", "input_length": 24, "sentence_order": True}}
    changes = bert(made) | ordered if kind == "bert" else {}
    corpora = [{"corpus": made[f"{kind}-corpus"]}]
    values = settings(tmp_path, made, **changes) | {"steps": 4, "eval_every": 2}
    assert run_ranks(go, 1, values) == ["done"]
    run = folder(values)
    losses = {one.step: one.loss for one in read_evaluations(run)}
    assert len(corpora) == 1
    for which, step in (("2", 2), ("last", 4)):
        found = asked(run, which=which)
        assert found["eval_loss"] == pytest.approx(losses[step], abs=1e-6)
        assert found["model"].startswith(f"run, step {step}, held-out loss {losses[step]:.4f}")

    to_hf(run, tmp_path / "hf", which="last")
    capsys.readouterr()
    words = ["eval", str(tmp_path / "hf"), made[f"{kind}-corpus"], "--objective", str(run), "--windows", "5"]
    assert main([*words, "--device", "cpu", "--json", str(tmp_path / "found.json")]) == 0
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["eval_loss"] == pytest.approx(losses[4], abs=1e-6)
    assert written["sources"] == found["sources"]
    shown = capsys.readouterr().out
    main_loss = found["sources"]["sample"]["losses"]["mlm" if kind == "bert" else "span"]
    for number in (
        f"{main_loss['loss']:.4f}",
        f"{main_loss['perplexity']:,.2f}",
        f"eval_loss {losses[4]:.4f}",
    ):
        assert number in shown


def test_what_cannot_be_measured_is_refused(made: Made, tmp_path: Path) -> None:
    hf = write_hf(tmp_path / "hf", CONFIGS["t5-v1.1"], Path(made["t5"]))
    short = tmp_path / "short.yaml"
    short.write_text("objective: {kind: span-corruption, input_length: 24}")
    digests = [load_tokenizer(made[kind]).sha256[:12] for kind in ("bert", "t5")]
    with pytest.raises(UserError, match=f"another tokenizer .*{digests[0]}.* than the model's.*{digests[1]}"):
        asked(hf, corpora=[made["bert-corpus"]], objective=str(short))
    with pytest.raises(UserError, match=r"no CORPUS: name at least one folder"):
        asked(hf)
    with pytest.raises(UserError, match=r"--which best: .*hf is a Hugging Face folder"):
        asked(hf, corpora=[made["t5-corpus"]], which="best")
    with pytest.raises(UserError, match="--windows 0; at least 1"):
        evaluate(hf, [made["t5-corpus"]], windows=0)
    with pytest.raises(UserError, match="nowhere: no such folder; expected a run, a checkpoint"):
        asked(tmp_path / "nowhere", corpora=[made["t5-corpus"]])
    long = tmp_path / "long.yaml"
    long.write_text("objective: {kind: prefix-lm, input_length: 3000}")
    with pytest.raises(UserError, match=r"no source holds out a window of \d+ tokens, the most is \d+"):
        asked(hf, corpora=[made["t5-corpus"]], objective=str(long))
    with pytest.raises(UserError, match="28 spans per window need as many sentinels, the tokenizer has 20"):
        asked(hf, corpora=[made["t5-corpus"]])  # 512 tokens are the usual
    (tmp_path / "mlm.yaml").write_text("model: {family: bert}\nobjective: {kind: mlm, input_length: 24}")
    with pytest.raises(UserError, match=r"objective.kind: mlm does not train a t5 model"):
        asked(hf, corpora=[made["t5-corpus"]], objective=str(tmp_path / "mlm.yaml"))


def test_a_folder_without_what_predicts_is_refused(made: Made, tmp_path: Path) -> None:
    albert = write_hf(tmp_path / "whole", CONFIGS["albert"], Path(made["bert"]))
    AutoModel.from_pretrained(albert).save_pretrained(tmp_path / "bare")
    with pytest.raises(UserError, match=r"bare: has no lm_head and no mlm_transform"):
        asked(tmp_path / "bare", corpora=[made["bert-corpus"]])

    whole = write_hf(tmp_path / "bert", CONFIGS["bert"], Path(made["bert"]))
    masked = BertForPreTraining.from_pretrained(whole)
    transformers.BertForMaskedLM(masked.config).save_pretrained(tmp_path / "masked")
    ordered = tmp_path / "ordered.yaml"
    ordered.write_text(
        "model: {family: bert}\nobjective: {kind: mlm, input_length: 24, sentence_order: true}"
    )
    with pytest.raises(UserError, match=r"masked: has no pooler and no sop_head"):
        asked(tmp_path / "masked", corpora=[made["bert-corpus"]], objective=str(ordered))
