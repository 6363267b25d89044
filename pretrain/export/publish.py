"""From a checkpoint to a Hugging Face folder that stock transformers loads, proven before it gets its name."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from torch import Tensor

from taixue.base import UserError, files
from taixue.data_tools.tokenizer.store import Tokenizer, load_tokenizer

from ..config.schema import ModelConfig
from ..models import FAMILIES
from .card import distances, write_card
from .config import config_to_hf
from .hf_folder import SHARD_BYTES, sync_folder, write_json, write_tensors
from .mapping import state_to_hf
from .proof import check_transformers, verify_folder
from .tokenizer_files import agree, complete, copy_tokenizer
from .trained import read_trained

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def to_hf(
    source: Path,
    out: Path,
    *,
    which: str = "",
    dtype: Literal["fp32", "bf16"] = "fp32",
    overwrite: bool = False,
    tokenizer: Path | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> float:
    """Write the folder `out` from a checkpoint, or one of a run folder.

    which: "best" by held-out loss, "last", or a step; "": the best, or the last where nothing was evaluated.
    tokenizer: where its folder is now, if not where the run had it. Returns the largest difference of fp32 logits
    between transformers and our model. Raises UserError (nothing to export, `out` is there, tokenizer missing) and
    RuntimeError (transformers computes something else); then `out` is as it was. One process, no group.
    """
    if out.exists():
        _check_overwrite(out, overwrite)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with console.status(f"reading {source}") as status:
        trained = read_trained(source, which)
        check_transformers(trained.run.model)
        tokens_from = tokenizer or Path(trained.run.data.tokenizer)
        loaded = load_tokenizer(tokens_from)
        state = {name: tensor.to(DTYPES[dtype]) for name, tensor in trained.weights.items()}

        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = files.temporary_name(out)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            status.update(f"writing {out}")
            copy_tokenizer(tokens_from, temporary)
            complete(
                tokens_from, temporary, loaded.kind, FAMILIES.of(trained.run.model).longest(trained.run.model)
            )
            write_model(temporary, trained.run.model, state, loaded, shard_bytes, trained.origin_config)
            rebuilt = agree(tokens_from, temporary, loaded)
            status.update("comparing with transformers")
            difference = verify_folder(temporary, trained.run.model, state, loaded)
            write_card(temporary, trained, loaded, dtype, difference)
            _publish(temporary, out)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    console.print(f"{out}: {trained.run.name}, {dtype}, {trained.chosen}")
    if rebuilt:
        console.print(f"{rebuilt}\n{out}: has a tokenizer.json that is read as taixue reads spiece.model")
    if parts := FAMILIES.of(trained.run.model).hf.left_out(trained.run.model):
        console.print(f"left out, for pretraining only: {', '.join(parts)}")
    for name, distance in distances(trained.held_out).items():
        console.print(f"held-out loss without tags, {name}: {distance:+.4f} nats per prediction")
    return difference


def _check_overwrite(out: Path, overwrite: bool) -> None:
    if not overwrite:
        raise UserError(f"{out}: exists; choose another folder or pass --overwrite")
    if not (out / "config.json").is_file():
        raise UserError(f"{out}: holds no config.json; only a model folder is overwritten")


def write_model(
    folder: Path,
    config: ModelConfig,
    state: dict[str, Tensor],
    tokenizer: Tokenizer,
    shard_bytes: int = SHARD_BYTES,
    said: Mapping[str, Any] | None = None,
) -> None:
    """Weights, config.json and, for a family that generates, generation_config.json. state: our names, one dtype; said:
    see config_to_hf."""
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError(
            f"the tokenizer has {tokenizer.vocab_size} ids, the model's vocabulary only {config.vocab_size} rows; "
            "this is not the tokenizer the model was trained with"
        )
    write_tensors(state_to_hf(config, state), folder, shard_bytes)
    pad_id, eos_id = tokenizer.pad_id, tokenizer.eos_id
    dtype = str(next(iter(state.values())).dtype).removeprefix("torch.")
    content = config_to_hf(config, pad_id=pad_id, eos_id=eos_id, dtype=dtype, said=said)
    write_json(content, folder / "config.json")
    generation = FAMILIES.of(config).hf.generation(config, pad_id, eos_id)
    if generation is not None:
        write_json(generation, folder / "generation_config.json")


def _publish(temporary: Path, out: Path) -> None:
    """Give the finished folder its name; an older one of that name goes away afterwards."""
    sync_folder(temporary)
    old = temporary.with_suffix(".old")
    if out.exists():
        out.rename(old)
    temporary.rename(out)
    files.sync(out.parent)
    shutil.rmtree(old, ignore_errors=True)
