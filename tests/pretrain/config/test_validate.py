"""What must hold between fields: each rule broken once, with both numbers and a legal value in the message."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taixue import UserError
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.config.validate import validate


def build(**sections: Any) -> RunConfig:
    """A small legal T5 run on one rank, with the sections laid over it."""
    values: dict[str, Any] = {
        "steps": 100,
        "runs": os.environ.get("TMPDIR", "/tmp"),
        "model": {
            "family": "t5",
            "vocab_size": 1024,
            "num_heads": 4,
            "num_encoder_layers": 2,
            "num_decoder_layers": 2,
        },
        "objective": {"kind": "span-corruption", "input_length": 64},
        "batch": {"global_size": 8, "micro_size": 2},
        "schedule": {"warmup_steps": 10},
        "compute": {"precision": "fp32"},
    }
    for name, section in sections.items():
        old = values.get(name)
        merges = isinstance(old, dict) and "family" not in section and "kind" not in section
        values[name] = {**old, **section} if merges else section  # type: ignore[dict-item]
    return RunConfig.model_validate(values)


BERT = {"family": "bert", "vocab_size": 1024, "d_model": 64, "num_heads": 4, "num_layers": 4, "d_ff": 128}
MLM = {"kind": "mlm", "input_length": 64}


@pytest.mark.parametrize(
    ("sections", "world"),
    [
        ({}, 1),
        ({}, None),
        ({"model": BERT, "objective": MLM}, 1),
        ({"parallel": {"tp": 2, "pp": 2, "dp_shard": 2}}, 8),
        ({"parallel": {"dp_shard": 0, "tp": 2}}, 4),
        ({"parallel": {"pp": 2, "pipeline_schedule": "interleaved"}}, 2),
        ({"parallel": {"dp_replicate": 2, "dp_shard": 2}}, 4),
        ({"compute": {"precision": "fp16", "allow_fp16": True}}, 1),
        ({"model": BERT, "objective": MLM, "compute": {"precision": "fp16"}}, 1),
        ({"compute": {"float64": True}}, 1),
        ({"objective": {"input_length": 63}, "parallel": {"tp": 2, "sequence_parallel": False}}, 2),
    ],
)
def test_legal_runs_pass(sections: dict[str, Any], world: int | None) -> None:
    validate(build(**sections), world, tokenizer_vocab=1000)


@pytest.mark.parametrize(
    ("sections", "world", "says"),
    [
        ({"parallel": {"tp": 3}}, 3, "model.num_heads 4 is not divisible by tp 3; tp may be 1, 2, 4"),
        ({"model": {"d_ff": 1023}, "parallel": {"tp": 2}}, 2, "model.d_ff 1023 is not divisible by tp 2"),
        (
            {"model": {"vocab_size": 1025}, "parallel": {"tp": 2}},
            2,
            "model.vocab_size 1025 is not divisible by tp 2; pad model.vocab_size to 1152",
        ),
        (
            {"objective": {"input_length": 63}, "parallel": {"tp": 2}},
            2,
            "objective.input_length 63 is not divisible by tp 2; tp may be 1, 3, 7, 9, 21, 63, or turn",
        ),
        (
            {"parallel": {"pp": 8}},
            8,
            "4 layers are fewer than the 8 stages of pp 8 with schedule auto; pp may be at most 4",
        ),
        (
            {"parallel": {"pp": 4, "pipeline_schedule": "v"}},
            4,
            "4 layers are fewer than the 8 stages of pp 4 with schedule v; pp may be at most 2",
        ),
        (
            {"model": {"relative_buckets": 2}},
            1,
            "relative_buckets: 2 with relative_max_distance 128; legal: 4 to 254",
        ),
        (
            {"model": BERT | {"token_types": 1}, "objective": MLM},
            1,
            "model.token_types: 1 cannot tell two segments",
        ),
        (
            {"parallel": {"tp": 2, "dp_shard": 2}},
            8,
            "= 4 ranks, but 8 are started; start 4 ranks, or set parallel.dp_shard to 4",
        ),
        ({"parallel": {"tp": 2}}, 3, "= 2 ranks, but 3 are started; start 2 ranks"),
        ({"parallel": {"tp": 2, "dp_shard": 0}}, 3, "tp 2 = 2 does not divide the 3 ranks started"),
        (
            {"batch": {"global_size": 9}},
            1,
            "9 is not a multiple of dp 1 x micro_size 2 = 2; legal near it: 8 or 10",
        ),
        (
            {"parallel": {"dp_shard": 3}},
            3,
            "8 is not a multiple of dp 3 x micro_size 2 = 6; legal near it: 6 or 12",
        ),
        ({"objective": MLM}, 1, "mlm does not train a t5 model; set it to span-corruption"),
        ({"model": BERT}, 1, "span-corruption does not train a bert model; set it to mlm"),
        (
            {"model": {**BERT, "max_positions": 32}, "objective": MLM},
            1,
            "objective.input_length: 64 exceeds model.max_positions 32",
        ),
        (
            {"model": {**BERT, "d_model": 66}, "objective": MLM},
            1,
            "d_model 66 is not divisible by num_heads 4",
        ),
        ({"compute": {"precision": "fp16"}}, 1, "its activations pass fp16's largest number, 65504"),
        ({"compute": {"precision": "bf16", "float64": True}}, 1, "true contradicts compute.precision bf16"),
        ({"schedule": {"warmup_steps": 100}}, 1, "100 leaves nothing of 100 steps; at most 99"),
        (
            {"schedule": {"name": "wsd", "warmup_steps": 50, "decay_steps": 60}},
            1,
            "60 and 50 of warm-up exceed 100 steps; at most 50",
        ),
        ({"name": "../elsewhere"}, 1, "'../elsewhere' should be the name of one folder"),
        ({"name": ""}, 1, "'' should be the name of one folder"),
    ],
)
def test_each_rule(sections: dict[str, Any], world: int, says: str) -> None:
    with pytest.raises(UserError) as error:
        validate(build(**sections), world)
    assert says in str(error.value)


def test_a_tokenizer_with_more_ids_than_rows() -> None:
    with pytest.raises(UserError, match=r"1024 rows are too few for the 1100 ids .* set it to 1152"):
        validate(build(), 1, tokenizer_vocab=1100)


def test_an_unwritable_run_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        validate(build(runs=str(tmp_path / "file")), 1)
    with pytest.raises(UserError, match=r"cannot be written \(/proc: "):
        validate(build(runs="/proc/nowhere"), 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_run_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        validate(build(runs=str(tmp_path)), 1)


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    validate(build(runs=str(tmp_path / "runs")), 1)
    assert not list(tmp_path.iterdir())


def test_all_problems_at_once() -> None:
    with pytest.raises(UserError) as error:
        validate(build(parallel={"tp": 3}, schedule={"warmup_steps": 100}, objective=MLM), 5)
    assert len(str(error.value).splitlines()) >= 5


@settings(deadline=None)
@given(
    tp=st.sampled_from([1, 2, 3, 4]),
    pp=st.integers(1, 5),
    shard=st.integers(0, 4),
    replicate=st.integers(1, 3),
    world=st.integers(1, 64),
    size=st.integers(1, 64),
    micro=st.integers(1, 8),
    schedule=st.sampled_from(["auto", "1f1b", "interleaved", "v"]),
)
def test_what_passes_is_consistent(
    tp: int, pp: int, shard: int, replicate: int, world: int, size: int, micro: int, schedule: str
) -> None:
    parallel = {
        "tp": tp,
        "pp": pp,
        "dp_shard": shard,
        "dp_replicate": replicate,
        "pipeline_schedule": schedule,
    }
    run = build(parallel=parallel, batch={"global_size": size, "micro_size": micro})
    try:
        validate(run, world)
    except UserError:
        return
    dp = world // (tp * pp)
    assert tp * pp * dp == world
    assert dp % replicate == 0
    assert size % (dp * micro) == 0
    assert pp * (2 if schedule in ("interleaved", "v") and pp > 1 else 1) <= 4  # layers
