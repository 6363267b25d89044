"""Files and overrides to validated configs: the right values, the right complaint, and back to a file."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.base.load import load, parse_overrides, write_resolved
from taixue.data_tools.config import CorpusBuildConfig, TokenizerTrainConfig
from taixue.pretrain.config.schema import BertConfig, MlmConfig, RunConfig, T5Config

LINE_BREAKS = "\x85\u2028\u2029"
"""PyYAML writes these as they are and reads them as spaces."""

RUN = """
base: model/t5-tiny
name: try
optimizer: {lr: 1e-4, betas: [0.9, 0.99]}
data:
  tokenizer: tok
  sources: [{corpus: a}, {corpus: b, weight: 2}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    return path


def complaint(config: Path, *overrides: str) -> list[str]:
    with pytest.raises(UserError) as error:
        load(RunConfig, config, overrides)
    return str(error.value).splitlines()


def test_values_come_from_file_base_and_defaults(config: Path) -> None:
    run = load(RunConfig, config)
    assert run.name == "try"
    assert type(run.model) is T5Config
    assert run.model.d_model == 128
    assert run.optimizer.lr == 1e-4
    assert run.batch == RunConfig().batch


@pytest.mark.parametrize(
    ("overrides", "where", "value"),
    [
        (["--steps", "7"], "steps", 7),
        (["--steps=7"], "steps", 7),
        (["--steps", "1", "--steps", "7"], "steps", 7),
        (["--parallel.sequence-parallel", "false"], "parallel.sequence_parallel", False),
        (["--optimizer.lr", "1e-3"], "optimizer.lr", 1e-3),
        (["--optimizer.betas", "0.5", "0.6"], "optimizer.betas", (0.5, 0.6)),
        (["--optimizer.betas=[0.5, 0.6]"], "optimizer.betas", (0.5, 0.6)),
        (["--name", "2026"], "name", "2026"),
        (["--logging.wandb", "offline"], "logging.wandb", "offline"),
        (["--data.sources.1.weight", "null"], "data.sources.1.weight", None),
        (["--data.sources.0.source", "news"], "data.sources.0.source", "news"),
        (["--data.sources", "[{corpus: c}]"], "data.sources.0.corpus", "c"),
        (["--model", "{family: bert}"], "model", BertConfig()),
        (["--model.family", "bert"], "model", BertConfig()),
        # Switches that no one has set follow from the model.
        (
            ["--objective.kind", "mlm"],
            "objective",
            MlmConfig(features=False, tag_labels=False, relation_labels=False),
        ),
    ],
)
def test_overrides(config: Path, overrides: list[str], where: str, value: Any) -> None:
    found: Any = load(RunConfig, config, overrides)
    for key in where.split("."):
        found = found[int(key)] if key.isdecimal() else getattr(found, key)
    assert found == value
    assert type(found) is type(value)


def test_an_override_of_one_item_keeps_the_others(config: Path) -> None:
    first, second = load(RunConfig, config, ["--data.sources.1.corpus", "c"]).data.sources
    assert (first.corpus, second.corpus, second.weight) == ("a", "c", 2.0)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["--paralel.tp", "2"], "command line: paralel: unknown key; did you mean parallel?"),
        (["--model.d_modle", "2"], "command line: model.d_modle: unknown key; did you mean model.d_model?"),
        (["--lr", "2"], "command line: lr: unknown key; did you mean optimizer.lr?"),
        (["--input_length", "2"], "did you mean objective.input_length?"),
        (["--model.norm", "pre"], "command line: model.norm: unknown key; legal here: d_ff, d_kv,"),
        (
            ["--data.sources.0.corpsu", "x"],
            "data.sources.0.corpsu: unknown key; did you mean data.sources.0.corpus?",
        ),
        (["--model.family", "gpt"], "model: family is 'gpt'; legal: 't5', 'bert'"),
        (
            ["--steps", "ten"],
            "steps: should be a valid integer, unable to parse string as an integer; was given 'ten'",
        ),
        (["--steps", "1.5"], "steps: should be a valid integer"),
        (["--steps", "0"], "steps: should be greater than 0; was given '0'"),
        (["--compute.compile", "maybe"], "compute.compile: should be a valid boolean"),
        (
            ["--compute.precision", "fp8"],
            "compute.precision: should be 'fp32', 'bf16' or 'fp16'; was given 'fp8'",
        ),
        (["--model.dropout", "1"], "model.dropout: should be less than 1"),
        (["--batch", "3"], "batch: should be a section with the keys global_size, micro_size, was given '3'"),
        (["--data.sources.5.corpus", "x"], "data.sources.5.corpus: data.sources has 2 items"),
        (["--optimizer.betas", "0.9"], "optimizer.betas.1: is required"),
        (["--data.sources=[{corpus: a"], "not YAML"),
        (["-steps", "5"], "expected --section.key VALUE, was given '-steps'; did you mean --steps?"),
        (
            ["--seed", str(2**64)],
            "seed: should be less than 9223372036854775808; was given '18446744073709551616'",
        ),
        (["--steps", "9" * 5000], "steps: should be a whole number of fewer digits; was given '99"),
        (
            ["--model.num_encoder_layers", "10000000"],
            "num_encoder_layers: should be less than or equal to 10000",
        ),
        (["--optimizer.lr", "1e5000"], "optimizer.lr: should be a finite number"),
        (["--optimizer.name", "adam"], "optimizer: name is 'adam'; did you mean 'adamw'? legal: 'adamw', "),
        (["--model.family", "T5"], "model: family is 'T5'; did you mean 't5'? legal: 't5', "),
        (["--data.sources", "[" * 5000], "is not YAML: nested too deeply"),
        (
            ["--data.sources", "{corpus: a}"],
            "a list of sections with the keys corpus, source, weight: [{...}]",
        ),
        (["steps", "5"], "expected --section.key VALUE, was given 'steps'"),
        (["--steps"], "--steps needs a value"),
    ],
)
def test_mistakes(config: Path, overrides: list[str], says: str) -> None:
    lines = complaint(config, *overrides)
    assert says in "\n".join(lines)
    assert len(lines) <= 2


def test_only_the_cause_is_told(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("data: {sources: [{corpsu: a}]}\nbatch.micro_size: 4\n")
    assert complaint(config) == [
        f"{config}: data.sources.0.corpsu: unknown key; did you mean data.sources.0.corpus?",
        f"{config}: batch.micro_size: unknown key; in a file a section is a key of its own: batch: {{micro_size: ...}}",
    ]


def test_of_many_mistakes_the_first_are_told(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("".join(f"key{number}: {'x' * 1000}\n" for number in range(50)))
    *lines, last = complaint(config)
    assert len(lines) == 5
    assert last == "and 45 more"
    assert max(map(len, lines)) < 400


def test_a_mistake_names_the_file_that_made_it(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("steps: many\n")
    config = tmp_path / "run.yaml"
    config.write_text("base: base.yaml\nbatch: {micro_size: 0}\n")
    lines = complaint(config, "--seed", "-1")
    assert [line.split(": ")[0] for line in lines] == [
        "command line",
        str(tmp_path / "base.yaml"),
        str(config),
    ]


def test_a_missing_key_is_asked_for(tmp_path: Path) -> None:
    config = tmp_path / "corpus.yaml"
    config.write_text("sources: [{name: a}]\n")
    with pytest.raises(UserError) as error:
        load(CorpusBuildConfig, config)
    assert f"{config}: tokenizer: is required" in str(error.value)
    assert f"{config}: sources.0.inputs: is required" in str(error.value)


def test_rules_of_another_schema_are_explained(tmp_path: Path) -> None:
    config = tmp_path / "corpus.yaml"
    source = "{name: a, inputs: [x]}"
    config.write_text(f"tokenizer: t\noutput: o\nsources: [{source}, {source}]\n")
    with pytest.raises(UserError, match=r"sources: two sources are called a; names must differ"):
        load(CorpusBuildConfig, config)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    steps=st.integers(1, 10**9),
    lr=st.floats(1e-12, 1e3),
    name=st.text(st.characters(exclude_characters=LINE_BREAKS), max_size=20),
    betas=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    family=st.sampled_from(["t5", "bert"]),
    wandb=st.sampled_from(["off", "offline", "online"]),
)
def test_resolved_configs_are_read_back_equal(tmp_path: Path, family: str, wandb: str, **values: Any) -> None:
    run = RunConfig.model_validate(
        {
            "steps": values["steps"],
            "name": values["name"],
            "model": {"family": family},
            "optimizer": {"lr": values["lr"], "betas": values["betas"]},
            "logging": {"wandb": wandb},
        }
    )
    path = tmp_path / "resolved.yaml"
    write_resolved(run, path)
    assert load(RunConfig, path) == run
    assert [file.name for file in tmp_path.iterdir()] == ["resolved.yaml"]


def test_presets_of_data_tools_load() -> None:
    assert load(TokenizerTrainConfig, "corpus/demo-tokenizer").vocab_size == 2816
    assert load(CorpusBuildConfig, "corpus/demo").sources[0].name == "sample"


def test_one_word_is_a_list_of_one() -> None:
    assert load(CorpusBuildConfig, "corpus/demo", ["--sources.0.inputs", "text"]).sources[0].inputs == (
        "text",
    )
    assert load(TokenizerTrainConfig, "corpus/demo-tokenizer", ["--inputs", "a", "b"]).inputs == ("a", "b")


def test_text_that_looks_like_yaml_stays_text() -> None:
    """Where the schema asks for text; elsewhere [..] and {..} are YAML."""
    for text in (r"{title}\n{body}", "{title}", "[a", "[a, b]"):
        assert (
            load(CorpusBuildConfig, "corpus/demo", ["--sources.0.text_field", text]).sources[0].text_field
            == text
        )
    inputs = load(CorpusBuildConfig, "corpus/demo", ["--sources.0.inputs", "[a, b]"]).sources[0].inputs
    assert inputs == ("a", "b")


def test_parse_overrides_takes_negative_numbers() -> None:
    assert parse_overrides(["--a.b", "-1", "--c-d=--x"]) == [(("a", "b"), "-1"), (("c_d",), "--x")]
