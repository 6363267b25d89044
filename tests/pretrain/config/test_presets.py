"""Every preset loads and holds together; the published shapes have the published number of parameters."""

from math import prod
from pathlib import Path

import pytest

from taixue.base.load import load
from taixue.data_tools.config import CorpusBuildConfig, TokenizerTrainConfig
from taixue.pretrain.config.schema import BertConfig, RunConfig, T5Config
from taixue.pretrain.config.validate import validate

CONFIGS = Path(__file__).parents[3] / "configs"
PRESETS = sorted(str(path.relative_to(CONFIGS).with_suffix("")) for path in CONFIGS.rglob("*.yaml"))


def parameters(model: T5Config | BertConfig) -> int:
    """Number of weights in closed form; BERT without pooler and pretraining heads."""
    d, ff = model.d_model, model.d_ff
    if isinstance(model, BertConfig):
        layer = 4 * (d * d + d) + (2 * d * ff + ff + d) + 4 * d
        embeddings = (model.vocab_size + model.max_positions + model.token_types) * d
        return embeddings + model.num_layers * layer + 2 * d
    attention, feed_forward = (
        4 * d * model.num_heads * model.d_kv,
        (3 if model.ffn == "gated-gelu" else 2) * d * ff,
    )
    encoder = model.num_encoder_layers * (attention + feed_forward + 2 * d) + d
    decoder = model.num_decoder_layers * (2 * attention + feed_forward + 3 * d) + d
    embeddings = (1 if model.tie_embeddings else 2) * model.vocab_size * d
    per_layer = model.family in ("umt5",)
    tables = model.num_encoder_layers + model.num_decoder_layers if per_layer else 2
    return embeddings + encoder + decoder + tables * model.relative_buckets * model.num_heads


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith(("run/", "model/"))])
def test_runs_hold_together(name: str) -> None:
    run = load(RunConfig, name, ["--runs", "/tmp"])
    layout = run.parallel
    validate(run, prod((layout.tp, layout.pp, layout.dp_replicate, layout.dp_shard)))


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("corpus/")])
def test_corpus_presets_load(name: str) -> None:
    load(TokenizerTrainConfig if name.endswith("-tokenizer") else CorpusBuildConfig, name)


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("run/")])
def test_a_run_has_rows_for_its_vocabulary(name: str) -> None:
    run = load(RunConfig, name)
    for preset in (name for name in PRESETS if name.endswith("-tokenizer")):
        tokenizer = load(TokenizerTrainConfig, preset)
        if tokenizer.output == run.data.tokenizer:
            validate(run, None, tokenizer.vocab_size)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("t5-v1_1-small", 76_961_152),
        ("t5-v1_1-base", 247_577_856),
        ("t5-v1_1-large", 783_150_080),
        ("t5-v1_1-xl", 2_849_757_184),
        ("t5-v1_1-xxl", 11_135_332_352),
        ("mengzi-t5-base", 247_577_856),
        ("mt5-small", 300_176_768),
        ("umt5-small", 306_601_984),
        ("bert-base-zh", 101_677_056),
        ("mengzi-bert-base", 101_677_056),
    ],
)
def test_published_sizes(name: str, count: int) -> None:
    """The counts of the published checkpoints (BERT: 102,267,648 less the pooler's 590,592)."""
    assert parameters(load(RunConfig, f"model/{name}").model) == count


@pytest.mark.parametrize(("name", "size"), [("encdec-100b", 100e9), ("megatron-bert-1.3b", 1.25e9)])
def test_large_shapes_are_the_size_they_say(name: str, size: float) -> None:
    assert parameters(load(RunConfig, f"model/{name}").model) == pytest.approx(size, rel=0.01)


def test_the_100b_shape_divides_like_a_cluster() -> None:
    layout = {"tp": 8, "pp": 16, "dp_shard": 2}
    overrides = [word for axis, size in layout.items() for word in (f"--parallel.{axis}", str(size))]
    run = load(RunConfig, "model/encdec-100b", [*overrides, "--batch.global_size", "2048", "--runs", "/tmp"])
    validate(run, 256)
