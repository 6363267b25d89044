"""What is recorded: tokenizers, corpora, objectives, models and runs, as configuration."""

from typing import Any

TOKENIZERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "t5": (
        "corpus/zh-t5-tokenizer",
        ("--vocab_size", "3200", "--character_coverage", "0.9999", "--threads", "2"),
    ),
    "bert": ("corpus/zh-bert-tokenizer", ("--vocab_size", "2816")),
}
"""Preset, overrides."""

_SEVERAL_SHARDS = ("--validation_fraction", "0.1", "--shard_bytes", "80000")
CORPORA: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "demo": ("corpus/zh-t5", "t5", ("--sources.0.name", "sample", "--validation_fraction", "0.05")),
    "t5-annotated": ("corpus/zh-t5-annotated", "t5", _SEVERAL_SHARDS),
    "t5-clean": ("corpus/t5-clean", "t5", _SEVERAL_SHARDS),
    "bert-annotated": ("corpus/zh-bert-annotated", "bert", _SEVERAL_SHARDS),
}
"""Preset, tokenizer, overrides."""

_T5: dict[str, Any] = {
    "family": "t5",
    "vocab_size": 3200,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 24,
    "num_heads": 4,
    "num_encoder_layers": 2,
    "num_decoder_layers": 2,
    "dropout": 0.0,
}
_BERT: dict[str, Any] = {
    "family": "bert",
    "vocab_size": 2816,
    "d_model": 16,
    "d_ff": 24,
    "num_heads": 4,
    "num_layers": 2,
    "max_positions": 64,
    "dropout": 0.0,
}
_FEATURES = {"pos_tags": 80, "word_bias": True, "clause_bias": True, "bias_heads": 2, "dropout": 0.25}
_HEADS = {"pos": 80, "ne": 10, "relation": 20}
MODELS: dict[str, dict[str, Any]] = {
    "t5-v1.1": _T5,
    "t5-v1.0": _T5 | {"ffn": "relu", "tie_embeddings": True},
    "t5-features": _T5 | {"features": _FEATURES},
    "bert-post": _BERT,
    "bert-pre": _BERT | {"norm": "pre", "activation": "gelu_new", "features": _FEATURES, "heads": _HEADS},
    "bert-knowledge": _BERT | {"knowledge_width": 4},
}


def _fed(corpora: str, model: str, objective: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Values of a run that only reads."""
    values = {"corpora": corpora.split(), "model": MODELS[model], "eval_windows": 6} | changes
    return values | {"objective": {"input_length": 48} | objective}


def _t5(objective: dict[str, Any], corpora: str = "t5-annotated", model: str = "t5-v1.1") -> dict[str, Any]:
    return _fed(corpora, model, {"kind": "span-corruption"} | objective)


def _bert(objective: dict[str, Any], model: str = "bert-post", **changes: Any) -> dict[str, Any]:
    return _fed("bert-annotated", model, {"kind": "mlm"} | objective, **changes)


_SPANS: list[dict[str, Any]] = [
    {"mode": "R", "spans": "random"},
    {"mode": "R", "spans": "geometric"},
    {"mode": "", "spans": "words"},
    {"mode": "X", "spans": "knowledge", "noise_density": 0.4},
]
_PREFIX: dict[str, Any] = {"mode": "S", "spans": "prefix", "noise_density": 0.25, "weight": 2.0}
_WITHOUT_MODES = [denoiser | {"mode": ""} for denoiser in (*_SPANS, _PREFIX)]
_ALL_DENOISERS = {"kind": "ul2", "input_length": 192, "denoisers": [*_SPANS, _PREFIX]}
_TAGGED = {"features": True, "tag_labels": True, "relation_labels": True, "masking": "discourse"}

OBJECTIVES: dict[str, dict[str, Any]] = {
    "span-random": _t5({}),
    "span-random-free-edges": _t5({"free_edges": True}, "demo"),
    "span-random-two-corpora": _t5({}, "t5-clean demo"),
    "span-random-separate": _t5({"documents": "separate", "input_length": 200}),
    "span-geometric": _t5({"spans": "geometric"}),
    "span-words": _t5({"spans": "words"}),
    "span-knowledge": _t5({"spans": "knowledge"}),
    "span-knowledge-units": _t5({"spans": "knowledge", "units": {"weights": {"idiom": 0, "clause": 2.0}}}),
    "span-knowledge-separate": _t5({"spans": "knowledge", "documents": "separate", "input_length": 200}),
    "span-knowledge-features": _t5({"spans": "knowledge", "features": True}, model="t5-features"),
    "prefix-lm": _t5({"kind": "prefix-lm"}),
    "ul2": _t5({"kind": "ul2", "input_length": 768}),
    "ul2-all-spans": _t5(_ALL_DENOISERS),
    "ul2-all-spans-features": _t5(_ALL_DENOISERS | {"features": True}, model="t5-features"),
    "prefix-lm-separate": _t5({"kind": "prefix-lm", "documents": "separate", "input_length": 200}),
    "ul2-separate": _t5(_ALL_DENOISERS | {"denoisers": _WITHOUT_MODES, "documents": "separate"}),
    "mlm-token": _bert({}),
    "mlm-word": _bert({"masking": "word"}),
    "mlm-word-by-unit": _bert({"masking": "word", "replacement": "unit"}),
    "mlm-ngram": _bert({"masking": "ngram"}),
    "mlm-entity": _bert({"masking": "entity"}),
    "mlm-knowledge": _bert({"masking": "knowledge"}),
    "mlm-discourse": _bert({"masking": "discourse"}),
    "mlm-mixture": _bert(
        {"masking": {"token": 1, "word": 2, "ngram": 1, "entity": 1, "knowledge": 2, "discourse": 1}}
    ),
    "mlm-separate": _bert({"documents": "separate", "sentence_order": False, "input_length": 64}),
    "mlm-features-and-labels": _bert(_TAGGED, "bert-pre"),
    "mlm-groups-hidden": _bert(_TAGGED | {"hide_masked_groups": True, "hide_masked_tags": False}, "bert-pre"),
    "mlm-entity-vectors": _bert({"masking": "word"}, "bert-knowledge", vectors=True),
}

_RUN: dict[str, Any] = {
    "steps": 5,
    "eval_every": 5,
    "eval_windows": 4,
    "batch": {"global_size": 8, "micro_size": 4},
    "compute": {"device": "cpu", "precision": "fp32", "float64": True},
    "checkpoint": {"every": 5},
    "logging": {"every": 1},
}


def _run(
    fed: dict[str, Any], optimizer: dict[str, Any], schedule: str, model: str | None = None
) -> dict[str, Any]:
    model_changes = {} if model is None else {"model": MODELS[model]}
    return (
        fed
        | _RUN
        | {"optimizer": optimizer, "schedule": {"name": schedule, "warmup_steps": 2}}
        | model_changes
    )


_ADAMW = {"name": "adamw", "lr": 0.01, "betas": [0.9, 0.999], "weight_decay": 0.01}
RUNS: dict[str, dict[str, Any]] = {
    "t5-v1.1": _run(OBJECTIVES["span-random-two-corpora"], {"name": "adamw-rms"}, "cosine"),
    "t5-v1.0": _run(OBJECTIVES["span-knowledge"], {"name": "adafactor"}, "inverse-sqrt", "t5-v1.0"),
    "t5-features": _run(OBJECTIVES["ul2-all-spans-features"], _ADAMW, "wsd"),
    "bert-post": _run(OBJECTIVES["mlm-mixture"], _ADAMW, "linear"),
    "bert-pre": _run(OBJECTIVES["mlm-features-and-labels"], {"name": "adamw-rms"}, "constant"),
    "bert-knowledge": _run(OBJECTIVES["mlm-entity-vectors"], {"name": "adafactor"}, "cosine"),
}
"""Between them every optimizer and schedule; no dropout, in double precision."""
