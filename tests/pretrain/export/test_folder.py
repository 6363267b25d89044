"""Import: every usual form of folder is read, and what does not fit is refused by name."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AlbertConfig as HfAlbertConfig
from transformers import (
    AlbertForMaskedLM,
    AlbertForPreTraining,
    AlbertModel,
    BertForMaskedLM,
    MT5Config,
    MT5ForConditionalGeneration,
    PreTrainedModel,
)
from transformers import BertConfig as HfBertConfig

from taixue import UserError
from taixue.base.load import load
from taixue.pretrain.config.schema import BertConfig, RunConfig, T5Config
from taixue.pretrain.config.validate import validate
from taixue.pretrain.export import from_hf, import_hf
from taixue.pretrain.export.hf_folder import read_hf
from taixue.pretrain.export.tokenizer_files import copy_tokenizer
from taixue.pretrain.models import FAMILIES

from ...parity.models import hf_model, random_state, skip_unless_right
from .conftest import ALBERT, BERT, CONFIGS, MEGATRON_BERT, MT5, T5_V1_0, T5_V1_1

Tokenizers = dict[str, Path]


def write_hf(
    folder: Path, config: T5Config | BertConfig, tokenizer: Path | None = None, **options: Any
) -> Path:
    """A folder as transformers saves it, with the weights random_state(config)."""
    hf_model(config, random_state(config), "eager").save_pretrained(folder, **options)
    if tokenizer is not None:
        copy_tokenizer(tokenizer, folder)
    return folder


def change_config(folder: Path, **changes: Any) -> Path:
    path = folder / "config.json"
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not ...}))
    return folder


def change_tensors(folder: Path, **changes: Any) -> Path:
    path = folder / "model.safetensors"
    tensors = load_file(path) | changes
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)
    return folder


def same(folder: Path, config: T5Config | BertConfig) -> None:
    found, state = from_hf(folder)
    expected = random_state(config)
    assert found == config
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_folders_that_transformers_saves(name: str, tmp_path: Path) -> None:
    skip_unless_right(CONFIGS[name])
    same(write_hf(tmp_path / "whole", CONFIGS[name]), CONFIGS[name])
    same(write_hf(tmp_path / "shards", CONFIGS[name], max_shard_size="40KB"), CONFIGS[name])
    assert not (tmp_path / "shards/model.safetensors").exists()


@pytest.mark.parametrize("name", CONFIGS)
def test_old_folders_with_pytorch_model_bin(name: str, tmp_path: Path) -> None:
    """They repeat tied weights under every name and hold buffers."""
    config = CONFIGS[name]
    folder = write_hf(tmp_path / "hf", config)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    if FAMILIES.of(config).tokenizer == "t5":
        tensors["encoder.embed_tokens.weight"] = tensors["decoder.embed_tokens.weight"] = tensors[
            "shared.weight"
        ]
        tensors.setdefault("lm_head.weight", tensors["shared.weight"])
        name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        tensors[name] = torch.zeros(32, config.num_heads)
        change_config(folder, tie_word_embeddings=config.tie_embeddings, scale_decoder_outputs=...)
    else:
        names = FAMILIES.of(config).hf.names(config)
        for copy, original in names.copies.items():
            tensors[copy] = tensors[original]
        (buffer,) = names.unused
        tensors[buffer] = torch.arange(config.max_positions)[None]
        tensors = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): tensor
            for name, tensor in tensors.items()
        }
    torch.save(tensors, folder / "pytorch_model.bin")
    same(folder, config)


def test_mt5(tmp_path: Path) -> None:
    c = MT5
    hf = MT5ForConditionalGeneration(MT5Config(
        vocab_size=c.vocab_size, d_model=c.d_model, d_kv=c.d_kv, d_ff=c.d_ff, num_heads=c.num_heads,
        num_layers=c.num_encoder_layers, num_decoder_layers=c.num_decoder_layers, dropout_rate=c.dropout,
    ))  # fmt: skip
    hf.lm_head.weight = torch.nn.Parameter(torch.randn(c.vocab_size, c.d_model))
    hf.save_pretrained(tmp_path / "hf")
    config, state = from_hf(tmp_path / "hf")
    assert config == c
    assert torch.equal(state["lm_head.weight"], hf.lm_head.weight)
    assert not torch.equal(state["lm_head.weight"], state["shared.weight"])


def test_v1_1_with_one_matrix_becomes_two_equal_ones(tmp_path: Path) -> None:
    folder = write_hf(tmp_path / "hf", T5_V1_1)
    change_tensors(folder, **{"lm_head.weight": None})
    config, state = from_hf(folder)
    assert config == T5_V1_1
    assert torch.equal(state["lm_head.weight"], state["shared.weight"])


def test_a_masked_lm_starts_with_fresh_heads(tmp_path: Path) -> None:
    hf_config = HfBertConfig(
        vocab_size=640, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=32, hidden_dropout_prob=0.0,
    )  # fmt: skip
    BertForMaskedLM(hf_config).save_pretrained(tmp_path / "hf")
    config, state = from_hf(tmp_path / "hf")
    assert config == BERT
    assert state["sop_head.weight"].shape == (2, 32)
    assert state["pooler.bias"].eq(0).all()


@pytest.mark.parametrize(
    ("made", "fresh"),
    [
        (AlbertForMaskedLM, {"pooler", "sop_head"}),
        (AlbertModel, {"mlm_transform", "lm_head", "sop_head"}),
        (AlbertForPreTraining, set()),
    ],
    ids=["masked-lm", "model", "pretraining"],
)
def test_parts_of_an_albert(made: type[PreTrainedModel], fresh: set[str], tmp_path: Path) -> None:
    hf_config = HfAlbertConfig(
        vocab_size=640, embedding_size=12, hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=32,
    )  # fmt: skip
    model = made(hf_config)
    model.save_pretrained(tmp_path / "hf")
    config, weights = read_hf(tmp_path / "hf")
    assert config == ALBERT
    assert {name.split(".")[0] for name in weights.fresh} == fresh
    embedding = model.get_input_embeddings().weight
    assert torch.equal(weights.state["embeddings.word.weight"], embedding)


def test_an_albert_of_several_layers_is_refused(tmp_path: Path) -> None:
    folder = change_config(write_hf(tmp_path / "hf", ALBERT), num_hidden_groups=3, inner_group_num=2)
    with pytest.raises(
        UserError, match=r"num_hidden_groups is 3, legal: 1; inner_group_num is 2, legal: 1 \(one layer"
    ):
        from_hf(folder)


REFUSED_TENSORS: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"encoder.final_layer_norm.weight": None}, r"encoder\.final_layer_norm\.weight: missing"),
    "unknown": ({"encoder.extra": torch.zeros(1)}, r"encoder\.extra: unknown"),
    "shape": (
        {"shared.weight": torch.zeros(3, 32)},
        r"shared\.weight: shape \(3, 32\), the config says \(640, 32\)",
    ),
    "untied": (
        {"encoder.embed_tokens.weight": torch.zeros(640, 32)},
        r"encoder\.embed_tokens\.weight: differs from",
    ),
    "layer": (
        {"encoder.block.7.layer.0.layer_norm.weight": torch.zeros(32)},
        r"encoder\.block\.7.*: unknown",
    ),
}


@pytest.mark.parametrize("case", REFUSED_TENSORS)
def test_tensors_that_do_not_fit_are_listed(case: str, tmp_path: Path) -> None:
    changes, message = REFUSED_TENSORS[case]
    folder = change_tensors(write_hf(tmp_path / "hf", T5_V1_1), **changes)
    with pytest.raises(UserError, match=message):
        from_hf(folder)


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    folder = change_tensors(write_hf(tmp_path / "hf", BERT), **{f"x{i}": torch.zeros(1) for i in range(30)})
    with pytest.raises(UserError, match=r"\(30\)(?s:.*)and 27 more\n.*BertForPreTraining"):
        from_hf(folder)


REFUSED_CONFIGS: dict[str, tuple[T5Config | BertConfig, dict[str, Any], str]] = {
    "family": (
        T5_V1_1,
        {"model_type": "gpt2"},
        "model_type 'gpt2'; legal: t5, bert, megatron-bert, albert, mt5, umt5",
    ),
    "activation": (T5_V1_1, {"feed_forward_proj": "gated-silu"}, "feed_forward_proj is 'gated-silu'"),
    "scaled": (
        T5_V1_1,
        {"tie_word_embeddings": True, "scale_decoder_outputs": ...},
        'write "tie_word_embeddings": f',
    ),
    "bert activation": (BERT, {"hidden_act": "mish"}, "hidden_act is 'mish'.*a family of its own"),
    "decoder": (MEGATRON_BERT, {"is_decoder": True}, "is_decoder is True; legal: False"),
    "type": (BERT, {"hidden_size": "big"}, "hidden_size is 'big'"),
}


@pytest.mark.parametrize("case", REFUSED_CONFIGS)
def test_configs_that_we_cannot_be(case: str, tmp_path: Path) -> None:
    config, changes, message = REFUSED_CONFIGS[case]
    folder = change_config(write_hf(tmp_path / "hf", config), **changes)
    with pytest.raises(UserError, match=message):
        from_hf(folder)


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json: cannot be read: No such file"):
        from_hf(tmp_path)
    folder = write_hf(tmp_path / "hf", T5_V1_0)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(UserError, match="cannot be read as weights"):
        from_hf(folder)
    weights.unlink()
    with pytest.raises(UserError, match=r"no weights; expected model\.safetensors"):
        from_hf(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        from_hf(folder)


class Planted:
    """Makes a folder when it is loaded carelessly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_weight_file_is_not_run(zipped: bool, tmp_path: Path) -> None:
    folder, made = write_hf(tmp_path / "hf", T5_V1_0), tmp_path / "made"
    (folder / "model.safetensors").unlink()
    content = {"shared.weight": Planted(made)}
    torch.save(content, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match="not a plain file of tensors"):
        from_hf(folder)
    assert not made.exists()


def test_an_index_stays_in_its_folder(tmp_path: Path) -> None:
    folder = write_hf(tmp_path / "hf", T5_V1_0)
    (folder / "model.safetensors").rename(tmp_path / "elsewhere.safetensors")
    index = {"weight_map": {"shared.weight": "../elsewhere.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="legal: a file of the same folder"):
        from_hf(folder)


@pytest.mark.parametrize("name", ["t5-v1.1", "bert", "albert"])
def test_import_writes_a_preset_that_loads(
    name: str, tmp_path: Path, tokenizers: Tokenizers, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CONFIGS[name]
    folder = write_hf(tmp_path / "hf", config, tokenizers[FAMILIES.of(config).tokenizer])
    preset = import_hf(folder, tmp_path / "imported")
    run = load(RunConfig, str(preset))
    assert run.model == config
    assert Path(run.init_from) == folder
    assert Path(run.data.tokenizer, "tokenizer_config.json").is_file()
    assert "taixue train" in capsys.readouterr().out
    assert run.objective.kind in FAMILIES.of(config).objectives
    validate(load(RunConfig, tmp_path / "imported/run.yaml"), 1, 300)
    with pytest.raises(UserError, match="imported: exists"):
        import_hf(folder, tmp_path / "imported")


def test_import_without_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tokenizer"):
        import_hf(write_hf(tmp_path / "hf", T5_V1_1), tmp_path / "imported")
    assert not (tmp_path / "imported").exists()
