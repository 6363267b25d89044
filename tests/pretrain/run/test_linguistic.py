"""Runs that learn from annotation: whatever the layout, resumed, from a folder, exported; and what they refuse."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taixue import UserError
from taixue.base import rng
from taixue.data_tools.shards import sidecar
from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.config.validate import validate
from taixue.pretrain.data import open_data
from taixue.pretrain.data.feature_dropout import FEATURES, FeatureDropout, check_tables
from taixue.pretrain.export import to_hf
from taixue.pretrain.knowledge import Graph, Vectors
from taixue.pretrain.knowledge.vectors import save_vectors
from taixue.pretrain.models import FAMILIES
from taixue.pretrain.objectives import build_objective

from ...dist import run_ranks
from .runs import BERT, T5, bert, folder, go, metrics, settings
from .test_init_from import write_t5

FEATURED = {"pos_tags": 80, "word_bias": True, "clause_bias": True, "bias_heads": 2, "dropout": 0.25}


def featured(annotated: dict[str, str], tmp: Path, kind: str, **changes: Any) -> dict[str, Any]:
    """A short run with every linguistic input, and for BERT every head."""
    values = settings(tmp, annotated, steps=4, eval_every=2)
    if kind == "bert":
        values |= bert(annotated)
        heads = {"pos": 80, "ne": 10, "relation": 20}
        values["model"] = BERT | {"features": FEATURED, "heads": heads, "num_layers": 4}
        values["objective"] = values["objective"] | {
            "masking": "discourse", "features": True, "tag_labels": True, "relation_labels": True,
        }  # fmt: skip
    else:
        values["model"] = T5 | {"features": FEATURED}
        values["objective"] = values["objective"] | {"spans": "knowledge", "features": True}
        values["objective"]["units"] = {"weights": {"idiom": 0}}
    values["model"] = values["model"] | {"dropout": 0.0}
    return values | changes


@pytest.mark.parametrize("kind", ["t5", "bert"])
def test_any_layout_learns_the_same_and_the_export_says_what_it_lacks(
    kind: str, annotated: dict[str, str], tmp_path: Path
) -> None:
    exact = {"compute": {"device": "cpu", "precision": "fp32", "float64": True}}
    exact["optimizer"] = {"name": "adamw-rms", "lr": 0.05}
    alone = featured(annotated, tmp_path / "alone", kind, **exact)
    split = featured(annotated, tmp_path / "split", kind, **exact) | {"parallel": {"tp": 2, "pp": 2}}
    assert run_ranks(go, 1, alone) == ["done"]
    assert set(run_ranks(go, 4, split)) == {"done"}
    for mine, expected in zip(metrics(split), metrics(alone), strict=True):
        assert mine == pytest.approx(expected, rel=1e-11)

    main = "span" if kind == "t5" else "mlm"
    rows = [row for row in metrics(alone) if f"eval/sample/{main}" in row]
    gap = rows[-1][f"eval/sample/{main}-without-tags"] - rows[-1][f"eval/sample/{main}"]
    assert gap != 0
    to_hf(folder(alone), tmp_path / "hf")  # compares transformers' logits with ours, which are given no tags
    card = (tmp_path / "hf" / "README.md").read_text()
    assert "Trained with, and not in this folder: part-of-speech embeddings, word bias in attention" in card
    assert f"| sample/{main} | {gap:+.4f} |" in card
    assert ("connective-relation head" in card) == (kind == "bert")


def test_losses_are_weighed(annotated: dict[str, str], tmp_path: Path) -> None:
    values = featured(annotated, tmp_path, "bert", steps=1, eval_every=0)
    assert run_ranks(go, 1, values) == ["done"]
    (row,) = [row for row in metrics(values) if "loss" in row]
    weights = {"mlm": 1, "sop": 1, "pos": 0.1, "ne": 0.1, "relation": 0.1}
    losses = {name.removeprefix("loss/"): value for name, value in row.items() if name.startswith("loss/")}
    assert {"mlm", "sop", "pos", "ne"} <= losses.keys() <= weights.keys()  # a step may mask no connective
    assert row["loss"] == pytest.approx(sum(weights[name] * value for name, value in losses.items()))
    values["objective"]["loss_weights"] = {"pos": 0.0}
    lighter = values | {"name": "lighter"}
    assert run_ranks(go, 1, lighter) == ["done"]
    (other,) = [row for row in metrics(lighter) if "loss" in row]
    assert other["loss/pos"] == row["loss/pos"]
    assert other["loss"] == pytest.approx(row["loss"] - 0.1 * row["loss/pos"])


def test_a_warm_start_with_features_begins_like_one_without(
    annotated: dict[str, str], tmp_path: Path
) -> None:
    write_t5(tmp_path / "hf")
    with_features = featured(annotated, tmp_path, "t5", steps=1, eval_every=0, init_from=str(tmp_path / "hf"))
    without = with_features | {"name": "plain", "model": T5 | {"dropout": 0.0}}
    without["objective"] = without["objective"] | {"features": False}
    assert run_ranks(go, 1, with_features) == ["done"]
    assert run_ranks(go, 1, without) == ["done"]
    ours, plain = (next(row for row in metrics(v) if "loss" in row)["loss"] for v in (with_features, without))
    assert ours == plain  # bit for bit


def test_a_sample_is_fed_without_tags_by_its_number_alone(annotated: dict[str, str], tmp_path: Path) -> None:
    run = RunConfig.model_validate(featured(annotated, tmp_path, "bert"))
    tokenizer = load_tokenizer(run.data.tokenizer)
    data = open_data(run, tokenizer, build_objective(run.objective, tokenizer))
    whole = data.batch(range(200))
    tagged = {name: whole[name].any(axis=1) for name in FEATURES if name in whole}
    assert tagged.keys() == {"pos_ids", "word_groups", "clause_groups"}
    assert (tagged["word_groups"] == tagged["pos_ids"]).all()
    assert 0.15 < 1 - tagged["word_groups"].mean() < 0.35
    part = data.batch(np.array([150, 3, 77]))
    assert all(np.array_equal(part[name], whole[name][[150, 3, 77]]) for name in whole)
    assert data.validation()["sample"][range(5)]["word_groups"].any(axis=1).all()
    batch = {name: np.ones((4, 2), int) for name in ("pos_ids", "labels")}
    keys = rng.derive(np.uint64(1), np.arange(4))
    assert FeatureDropout(0.0)(batch, keys)["pos_ids"].all()
    without = FeatureDropout(1.0)(batch, keys)
    assert not without["pos_ids"].any()
    assert without["labels"].all()


def test_entity_knowledge_in_a_run(annotated: dict[str, str], tmp_path: Path) -> None:
    graph = Graph(("太学", "城市", "春天"), ("在", "有"), np.array([[0, 0, 1], [1, 1, 2]]))
    draw = np.random.default_rng(1)
    vectors = Vectors(
        graph, draw.normal(size=(3, 4)).astype(np.float32), draw.normal(size=(2, 4)).astype(np.float32)
    )
    save_vectors(vectors, tmp_path / "vectors", {})
    values = settings(tmp_path, annotated, steps=3, eval_every=3) | bert(annotated)
    values["model"] = BERT | {"knowledge_width": 4}
    values["knowledge"] = {"vectors": str(tmp_path / "vectors"), "rare_per_million": 1e6, "rare_share": 1.0}
    assert run_ranks(go, 2, values) == ["done", "done"]
    rows = metrics(values)
    assert all(row["loss/answer"] > 0 for row in rows if "loss" in row)
    assert "eval/sample/answer" not in rows[-1]  # held-out text is read as a user of the model would
    to_hf(folder(values), tmp_path / "hf")
    assert "entity knowledge" in (tmp_path / "hf" / "README.md").read_text()
    # other knowledge, or none, is another run
    other = values | {"knowledge": values["knowledge"] | {"rare_share": 0.5}, "steps": 4}
    assert "trained on other data" in run_ranks(go, 1, other)[0]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("bert", {"objective": {"features": False}}, "objective.features: false, but model.features takes some"),
        ("bert", {"objective": {"tag_labels": False}}, "objective.tag_labels: false, but model.heads.pos is 80"),
        ("bert", {"objective": {"relation_labels": False}}, "relation_labels: false, but model.heads"),
        ("bert", {"model": {"knowledge_width": 4}}, "model.knowledge_width: 4 without knowledge.vectors"),
        ("t5", {"knowledge": {"vectors": "x"}}, "knowledge.vectors: a t5 model takes none"),
        ("bert", {"features": {"bias_heads": 3}}, "bias_heads: 3 should divide the 4 heads .* legal: 1, 2, 4"),
        ("t5", {"features": {"bias_layers": [5]}}, "bias_layers: 5 is no layer of 2; legal: 0 to 1"),
        ("t5", {"features": {"word_bias": False, "clause_bias": False}}, "without word_bias or clause_bias"),
        ("bert", {"knowledge": {"vectors": "x", "mentions": 3, "answer_tokens": 5}, "parallel": {"tp": 2}},
         "3 x answer_tokens 5 = 15 is not divisible by parallel.tp 2; set answer_tokens to 6"),
    ],
)  # fmt: skip
def test_configurations_that_contradict_themselves(
    kind: str, changes: dict[str, Any], message: str, annotated: dict[str, str], tmp_path: Path
) -> None:
    values = featured(annotated, tmp_path, kind)
    values["model"] |= changes.pop("model", {})
    values["model"]["features"] = values["model"]["features"] | changes.pop("features", {})
    values["objective"] |= changes.pop("objective", {})
    with pytest.raises(UserError, match=message):
        validate(RunConfig.model_validate(values | changes), None)


def test_tables_that_are_too_small_for_the_annotation(annotated: dict[str, str], tmp_path: Path) -> None:
    values = featured(annotated, tmp_path, "bert")
    tokenizer = load_tokenizer(values["data"]["tokenizer"])
    prefix = next(Path(annotated["bert-corpus"]).glob("*.ann")).with_suffix("")
    tags = len(sidecar.Reader(prefix).names("pos"))
    for change, message in (
        (
            {"features": FEATURED | {"pos_tags": 10}},
            f"pos_tags: 10 rows are too few for the {tags} parts of speech",
        ),
        (
            {"features": FEATURED | {"roles": 9}},
            r"roles: 9, but the corpus's annotation has no roles; set it to 0",
        ),
        ({"heads": {"pos": 80, "ne": 2, "relation": 20}}, r"heads\.ne: 2 rows are too few"),
    ):
        run = RunConfig.model_validate(values | {"model": values["model"] | change})
        with pytest.raises(UserError, match=message):
            open_data(run, tokenizer, build_objective(run.objective, tokenizer))
    bare = run.model.model_copy(update={"heads": type(run.model.heads)()})
    check_tables(FAMILIES.of(bare).tables(bare), {"pos": ["", "n"]})
