"""Every field of a model at the edges of what its schema allows: it trains, is exported, proven, and read again.

All low edges and all high ones together; with TAIXUE_TEST_FOLDERS=1 each field alone, too.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.config.validate import validate
from taixue.pretrain.export import from_hf, to_hf
from taixue.pretrain.models import FAMILIES
from taixue.pretrain.models.hugging_face import is_extra
from taixue.pretrain.verify.batch import random_batch

from ...parity.models import skip_unless_right
from .conftest import save_run

Tokenizers = dict[str, Path]

_T5: dict[str, dict[str, Any]] = {
    "d_model": {"d_model": 1}, "d_kv": {"d_kv": 1}, "d_ff": {"d_ff": 1}, "num_heads": {"num_heads": 1},
    "num_encoder_layers": {"num_encoder_layers": 1}, "num_decoder_layers": {"num_decoder_layers": 1},
    "ffn": {"ffn": "relu"}, "tie_embeddings": {"tie_embeddings": True},
    "fewest buckets": {"relative_buckets": 4, "relative_max_distance": 3},
    "most buckets": {"relative_buckets": 38, "relative_max_distance": 20},
    "far": {"relative_buckets": 5, "relative_max_distance": 100_000},
    "small eps": {"layer_norm_eps": 1e-30}, "large eps": {"layer_norm_eps": 1e3}, "dropout": {"dropout": 0.999},
    "vocab_size": {"vocab_size": 300},
    "features": {"features": {"pos_tags": 1, "roles": 1, "word_bias": True, "bias_heads": 1, "bias_layers": [0]}},
}  # fmt: skip
_BERT: dict[str, dict[str, Any]] = {
    "d_model": {"d_model": 1, "num_heads": 1}, "d_ff": {"d_ff": 1}, "num_heads": {"num_heads": 32},
    "num_layers": {"num_layers": 1}, "norm": {"norm": "pre"}, "activation": {"activation": "relu"},
    "tanh": {"activation": "gelu_new"}, "max_positions": {"max_positions": 4}, "one token type": {"token_types": 1},
    "many token types": {"token_types": 7}, "small eps": {"layer_norm_eps": 1e-30},
    "large eps": {"layer_norm_eps": 1e3}, "dropout": {"dropout": 0.999}, "vocab_size": {"vocab_size": 200},
    "knowledge_width": {"knowledge_width": 1},
    "heads": {"heads": {"pos": 1, "ne": 1, "relation": 1}},
}  # fmt: skip
_ALBERT = {name: change for name, change in _BERT.items() if name != "norm"} | {
    "embedding_size": {"embedding_size": 1}
}
_EDGES = {
    "t5": _T5,
    "mt5": {"ffn": _T5["ffn"], "most buckets": _T5["most buckets"]},
    "umt5": {
        "one layer": _T5["num_encoder_layers"] | _T5["num_decoder_layers"],
        "tied": _T5["tie_embeddings"],
    },
    "bert": _BERT,
    "albert": _ALBERT,
}
_LOW = {
    "t5": ("d_model", "d_kv", "d_ff", "num_heads", "num_encoder_layers", "num_decoder_layers", "fewest buckets",
           "small eps", "vocab_size", "features"),
    "bert": ("d_model", "d_ff", "num_layers", "max_positions", "one token type", "small eps", "vocab_size",
             "knowledge_width", "heads"),
}  # fmt: skip
_HIGH = {
    "t5": ("most buckets", "large eps", "dropout", "tie_embeddings", "ffn"),
    "bert": ("num_heads", "activation", "many token types", "large eps", "dropout"),
}
for _family, _edges in _EDGES.items():
    for _name, _several in (("low", _LOW), ("high", _HIGH)):
        _own = [_edges[name] for name in _several[FAMILIES[_family].tokenizer] if name in _edges]
        _edges[_name] = {key: value for change in _own for key, value in change.items()}
CASES = [
    (family, edge)
    for family, edges in _EDGES.items()
    for edge in edges
    if os.environ.get("TAIXUE_TEST_FOLDERS") == "1" or edge in ("low", "high")
]
_SHAPE = {
    "t5": {
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 48,
        "num_heads": 4,
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
    },
    "bert": {"d_model": 32, "d_ff": 48, "num_heads": 4, "num_layers": 2, "max_positions": 32},
}


@pytest.mark.parametrize(("family", "edge"), CASES)
def test_an_edge_of_the_schema(family: str, edge: str, tokenizers: Tokenizers, tmp_path: Path) -> None:
    kind = FAMILIES[family].tokenizer
    model = {"family": family, "vocab_size": 640} | _SHAPE[kind] | _EDGES[family][edge]
    values: dict[str, Any] = {"model": model, "data": {"tokenizer": str(tokenizers[kind])}}
    values["objective"] = {
        "kind": FAMILIES[family].objectives[0],
        "input_length": model.get("max_positions", 32),
    }
    if model.get("token_types") == 1:
        values["objective"]["sentence_order"] = False
    if "heads" in model:
        values["objective"]["masking"] = "word"
    if model.get("knowledge_width"):
        values["knowledge"] = {"vectors": "some"}
    run = RunConfig.model_validate(values)
    validate(run, 1)
    skip_unless_right(run.model)
    learns(run)

    to_hf(save_run(tmp_path / "run", run), tmp_path / "hf")
    config, _ = from_hf(tmp_path / "hf")
    assert config == FAMILIES.of(run.model).bare(run.model).model_copy(update={"dropout": config.dropout})
    assert config.dropout == run.model.dropout


def learns(run: RunConfig) -> None:
    """A forward and a backward pass on what `taixue verify` is fed; every weight of what is exported has a gradient."""
    family = FAMILIES.of(run.model)
    batch = random_batch(run.model, 2, 0, run.objective.input_length)
    model = family.build(run.model.model_copy(update={"dropout": 0.0}), None)
    losses = model(**batch)
    (losses if losses.ndim == 0 else losses.sum()).backward()
    without = {n for n, p in model.named_parameters() if p.grad is None and not is_extra(type(run.model), n)}
    assert not without
