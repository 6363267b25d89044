"""Continual pretraining: a Hugging Face folder's weights are where the run starts."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from taixue.pretrain.export import from_hf

from ...dist import run_ranks
from .runs import T5, go, settings, tensors


def write_t5(folder: Path, **changes: Any) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(3)
    shape = {key: T5[key] for key in ("vocab_size", "d_model", "d_kv", "d_ff", "num_heads")}
    config = T5Config(
        **(shape | changes),
        num_layers=2,
        num_decoder_layers=2,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)


def test_a_run_starts_from_the_weights_of_a_folder(made: dict[str, str], tmp_path: Path) -> None:
    write_t5(tmp_path / "hf")
    values = settings(tmp_path, made, steps=1, eval_every=0, init_from=str(tmp_path / "hf"))
    values |= {
        "optimizer": {"name": "adamw", "lr": 1e-30},
        "schedule": {"name": "constant", "warmup_steps": 0},
    }
    assert run_ranks(go, 2, values) == ["done", "done"]
    _, expected = from_hf(tmp_path / "hf")
    pieces = tensors(values, 1)
    for name, weight in expected.items():
        found = [array for key, array in pieces.items() if key.endswith(f":model.{name}")]
        assert np.array_equal(np.concatenate(found), weight.numpy()), name


def test_another_shape_is_refused_with_both_numbers(made: dict[str, str], tmp_path: Path) -> None:
    write_t5(tmp_path / "hf", d_ff=48)
    (answer,) = run_ranks(go, 1, settings(tmp_path, made, init_from=str(tmp_path / "hf")))
    assert "has model.d_ff = 48, the configuration says 24: set model.d_ff to 48" in answer
