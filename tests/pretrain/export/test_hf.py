"""Export: what is published loads in stock transformers and computes our logits; what fails is not published."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer

from taixue import UserError
from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.pretrain.config.schema import ModelConfig, T5Config
from taixue.pretrain.export import from_hf, proof, to_hf
from taixue.pretrain.export import publish as export_hf
from taixue.pretrain.export.config import config_from_hf, config_to_hf
from taixue.pretrain.export.hf_folder import read_tensors
from taixue.pretrain.export.publish import write_model
from taixue.pretrain.models import FAMILIES

from ...parity.models import random_state, skip_unless_right
from .conftest import ALBERT, BERT, CONFIGS, MT5, T5_V1_0, T5_V1_1, UMT5, UMT5_TIED, run_config, save_run
from .test_folder import write_hf

Tokenizers = dict[str, Path]


def tokenizer_for(config: ModelConfig, tokenizers: Tokenizers) -> Path:
    return tokenizers[FAMILIES.of(config).tokenizer]


@pytest.mark.parametrize("name", CONFIGS)
def test_exports_and_imports_back_the_same_tensors(name: str, tmp_path: Path, tokenizers: Tokenizers) -> None:
    config = CONFIGS[name]
    skip_unless_right(config)
    run = save_run(tmp_path / "run", run_config(config, tokenizer_for(config, tokenizers)))
    assert to_hf(run, tmp_path / "hf") <= 1e-5
    back, state = from_hf(tmp_path / "hf")
    assert back == config
    expected = random_state(config)
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in expected)
    names = {path.name for path in (tmp_path / "hf").iterdir()}
    assert {"model.safetensors", "config.json", "README.md", "loss.svg", "tokenizer_config.json"} <= names
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    auto = getattr(transformers, FAMILIES.of(config).hf.auto_class)
    model = auto.from_pretrained(tmp_path / "hf")
    assert model.config.vocab_size == config.vocab_size
    AutoTokenizer.from_pretrained(tmp_path / "hf")


@pytest.mark.parametrize("decoder_layers", [1, 2, 3])
@pytest.mark.parametrize("shape", [T5_V1_1, MT5, UMT5], ids=["t5", "mt5", "umt5"])
def test_an_exported_t5_generates(
    shape: T5Config, decoder_layers: int, tmp_path: Path, tokenizers: Tokenizers
) -> None:
    config = shape.model_copy(update={"num_decoder_layers": decoder_layers})
    write_model(tmp_path, config, random_state(config), load_tokenizer(tokenizers["t5"]))
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tokenizers["t5"])
    inputs = tokenizer("今天天气很<extra_id_0>。", return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=4, min_new_tokens=4)
    assert out[0, 0] == tokenizer.pad_token_id
    assert out.shape[1] == 5


def test_layout_does_not_change_the_bytes(tmp_path: Path, tokenizers: Tokenizers) -> None:
    run = run_config(T5_V1_1, tokenizers["t5"])
    exported = []
    for world in (1, 2):
        to_hf(save_run(tmp_path / f"run{world}", run, world=world), tmp_path / f"hf{world}")
        exported.append({path.name: path.read_bytes() for path in (tmp_path / f"hf{world}").iterdir()})
    assert exported[0] == exported[1]


def test_bf16_and_shards(tmp_path: Path, tokenizers: Tokenizers) -> None:
    run = save_run(tmp_path / "run", run_config(T5_V1_1, tokenizers["t5"]))
    to_hf(run, tmp_path / "hf", dtype="bf16", shard_bytes=60_000)
    index = json.loads((tmp_path / "hf/model.safetensors.index.json").read_text())
    shards = set(index["weight_map"].values())
    assert len(shards) > 2
    assert {path.name for path in (tmp_path / "hf").glob("*.safetensors")} == shards
    expected = random_state(T5_V1_1)
    _, state = from_hf(tmp_path / "hf")
    assert all(torch.equal(state[key], expected[key].bfloat16().float()) for key in expected)
    assert json.loads((tmp_path / "hf/config.json").read_text())["torch_dtype"] == "bfloat16"


def test_a_step_folder_can_be_named(tmp_path: Path, tokenizers: Tokenizers) -> None:
    run = save_run(tmp_path / "run", run_config(BERT, tokenizers["bert"]), step=7)
    to_hf(run / "checkpoints/step-00000007", tmp_path / "hf")
    assert "| steps | 7 |" in (tmp_path / "hf/README.md").read_text()


def test_the_card_states_what_the_run_recorded(tmp_path: Path, tokenizers: Tokenizers) -> None:
    run = save_run(tmp_path / "run", run_config(T5_V1_0, tokenizers["t5"], name="nightly"))
    to_hf(run, tmp_path / "hf")
    card = (tmp_path / "hf/README.md").read_text()
    for fact in (
        "# nightly",
        "| steps | 12 |",
        "| samples | 1,536 of 32 input",
        "| 12 | 6.0000 |",
        "f" * 64,
        "6.5000",
    ):
        assert fact in card, fact
    assert "| 13 |" not in card, "losses after the checkpoint"
    assert "tp:" not in card, "the layout is not part of the result"
    assert "<polyline" in (tmp_path / "hf/loss.svg").read_text()


def test_the_card_of_a_run_older_than_its_records(tmp_path: Path, tokenizers: Tokenizers) -> None:
    """No history, no facts of the objective: what is not known is not said."""
    run = save_run(tmp_path / "run", run_config(BERT, tokenizers["bert"]), facts=None)
    to_hf(run, tmp_path / "hf")
    card = (tmp_path / "hf/README.md").read_text()
    assert "| samples | 1,536 (of a shape that the checkpoint does not record) |" in card
    assert "| objective | masked language model (0.15 of the tokens), sentence order |" in card
    assert "| started from | random weights, seed 1 (by the configuration: the run has no record" in card
    for missing in ("tokens seen", "trained by", "Changed on the way"):
        assert missing not in card, missing


def test_existing_folder_is_kept_unless_told(tmp_path: Path, tokenizers: Tokenizers) -> None:
    run = save_run(tmp_path / "run", run_config(T5_V1_1, tokenizers["t5"]))
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf/mine").write_text("keep")
    with pytest.raises(UserError, match=r"hf: exists.*--overwrite"):
        to_hf(run, tmp_path / "hf")
    assert (tmp_path / "hf/mine").exists()
    with pytest.raises(UserError, match="only a model folder is overwritten"):
        to_hf(run, tmp_path / "hf", overwrite=True)
    (tmp_path / "hf/config.json").write_text("{}")
    to_hf(run, tmp_path / "hf", overwrite=True)
    assert not (tmp_path / "hf/mine").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf", "run"]


def test_a_wrong_folder_is_not_published(
    tmp_path: Path, tokenizers: Tokenizers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = save_run(tmp_path / "run", run_config(T5_V1_1, tokenizers["t5"]))
    right = export_hf.state_to_hf

    def exchanged(config: T5Config, state: dict[str, Tensor]) -> dict[str, Tensor]:
        tensors = right(config, state)
        first, second = (
            "encoder.block.0.layer.0.SelfAttention.q.weight",
            "encoder.block.0.layer.0.SelfAttention.k.weight",
        )
        return tensors | {first: tensors[second], second: tensors[first]}

    monkeypatch.setattr(export_hf, "state_to_hf", exchanged)
    with pytest.raises(RuntimeError, match="logits of transformers differ from ours"):
        to_hf(run, tmp_path / "hf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_another_tokenizer_is_not_published(tmp_path: Path, tokenizers: Tokenizers) -> None:
    """transformers reads tokenizer.json, we read spiece.model: when they disagree, nothing is published."""
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in tokenizers["t5"].iterdir():
        (changed / path.name).write_bytes(path.read_bytes())
    content = json.loads((changed / "tokenizer.json").read_text())
    content["model"]["vocab"][10], content["model"]["vocab"][11] = (
        content["model"]["vocab"][11],
        content["model"]["vocab"][10],
    )
    vocabulary = content["model"]["vocab"]
    vocabulary[:] = vocabulary[:3] + vocabulary[4:-20] + [["▁▁never", -30.0]] + vocabulary[-20:]
    (changed / "tokenizer.json").write_text(json.dumps(content))
    run = save_run(tmp_path / "run", run_config(T5_V1_1, changed))
    with pytest.raises(UserError, match="transformers tokenizes"):
        to_hf(run, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, tokenizers: Tokenizers) -> None:
    config = run_config(BERT, tokenizers["bert"])
    run = save_run(tmp_path / "run", config, step=3)
    save_run(tmp_path / "run", config, step=6)
    newest = run / "checkpoints/step-00000006"
    shard = newest / "rank-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x01")
    with pytest.raises(UserError, match=r"step-00000006: damaged \(rank-00000.safetensors"):
        to_hf(newest, tmp_path / "hf")
    to_hf(run, tmp_path / "hf")
    assert "| steps | 3 |" in (tmp_path / "hf/README.md").read_text()
    assert newest.exists(), "export changes nothing in the run"


def test_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint there"):
        to_hf(tmp_path, tmp_path / "hf")


def test_a_tokenizer_larger_than_the_model(tmp_path: Path, tokenizers: Tokenizers) -> None:
    small = T5_V1_1.model_copy(update={"vocab_size": 128})
    run = save_run(tmp_path / "run", run_config(small, tokenizers["t5"]))
    with pytest.raises(UserError, match=r"300 ids.*only 128 rows"):
        to_hf(run, tmp_path / "hf")


def test_mengzi_like_folder_round_trip(tmp_path: Path, tokenizers: Tokenizers) -> None:
    """HF folder -> weights -> checkpoint without a step -> HF folder: the weight file is the same, byte for byte.

    As Langboat's folder: spiece.model alone, more rows in the embedding than ids in the tokenizer.
    """
    write_hf(tmp_path / "mengzi", T5_V1_1)
    shutil.copy(tokenizers["t5"] / "spiece.model", tmp_path / "mengzi")
    config, state = from_hf(tmp_path / "mengzi")
    run = save_run(tmp_path / "run", run_config(config, tmp_path / "mengzi"), state)
    to_hf(run, tmp_path / "hf")
    assert (tmp_path / "hf/model.safetensors").read_bytes() == (
        tmp_path / "mengzi/model.safetensors"
    ).read_bytes()
    before, after = load_file(tmp_path / "mengzi/model.safetensors"), read_tensors(tmp_path / "hf")
    assert before.keys() == after.keys()


def test_an_albert_round_trip_keeps_the_bytes(tmp_path: Path, tokenizers: Tokenizers) -> None:
    """As above, from what transformers saves of an AlbertForPreTraining; config.json means the same to transformers."""
    write_hf(tmp_path / "theirs", ALBERT, tokenizers["bert"])
    config, state = from_hf(tmp_path / "theirs")
    run = save_run(tmp_path / "run", run_config(config, tokenizers["bert"]), state)
    to_hf(run, tmp_path / "hf")
    theirs, exported = (tmp_path / name / "model.safetensors" for name in ("theirs", "hf"))
    assert exported.read_bytes() == theirs.read_bytes()
    before, after = (AutoConfig.from_pretrained(tmp_path / name) for name in ("theirs", "hf"))
    ids = {"bos_token_id", "eos_token_id", "pad_token_id"}
    differing = {key for key, value in before.to_dict().items() if after.to_dict()[key] != value}
    assert differing <= ids | {"_name_or_path"}


def test_a_transformers_that_computes_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "version", lambda package: "5.17.0")
    proof.check_transformers(MT5)
    with pytest.raises(
        UserError, match=r"transformers 5\.17\.0 computes umt5 not as .* install transformers>=5\.24"
    ):
        proof.check_transformers(UMT5)


@pytest.mark.parametrize("config", [MT5, UMT5, UMT5_TIED], ids=["mt5", "umt5", "umt5-tied"])
def test_multilingual_folders_round_trip(config: T5Config, tmp_path: Path, tokenizers: Tokenizers) -> None:
    """As above: a folder of transformers comes back with the bytes of its weights, and the same configuration."""
    skip_unless_right(config)
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    write_hf(theirs, config, tokenizers["t5"])
    back, state = from_hf(theirs)
    assert back == config
    to_hf(save_run(tmp_path / "run", run_config(back, theirs), state), ours)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (theirs, ours)]
    assert weights[0] == weights[1]
    read = [AutoConfig.from_pretrained(folder).to_dict() for folder in (theirs, ours)]
    for values in read:
        del values["_name_or_path"]  # the folder
    assert read[0] == read[1]
    assert read[0]["model_type"] == config.family
    assert (read[1]["pad_token_id"], read[1]["decoder_start_token_id"]) == (0, 0)


@pytest.mark.parametrize("config", [MT5, UMT5], ids=["mt5", "umt5"])
def test_their_defaults_are_transformers(config: T5Config) -> None:
    """A config.json may leave out what is as by default."""
    raw = AutoConfig.for_model(config.family)
    found = config_from_hf({"model_type": config.family, "tie_word_embeddings": False}, {}, "config.json")
    expected = config_to_hf(found, pad_id=0, eos_id=1, dtype="float32")
    for name in expected.keys() - {
        "architectures",
        "torch_dtype",
        "tie_word_embeddings",
        "num_decoder_layers",
    }:
        assert getattr(raw, name) == expected[name], name
