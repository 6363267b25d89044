"""Hugging Face model folders on disk: weights of any usual form in, safetensors of reproducible bytes out."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from taixue.base import UserError, files

from ..checkpoint import tensor_file
from ..config.schema import ModelConfig
from .config import config_from_hf
from .mapping import Weights, state_from_hf

SHARD_BYTES = 5 * 1000**3


def from_hf(folder: str | Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Config and fp32 weights by our names of a folder of any family, on the CPU.

    What folders often lack (pooler and sop_head of a BERT) starts as in a new run. Raises UserError.
    """
    config, weights = read_hf(Path(folder))
    return config, weights.state


def read_hf(folder: Path) -> tuple[ModelConfig, Weights]:
    """As `from_hf`, and what the folder lacked or was not asked for."""
    raw = read_json(folder / "config.json")
    tensors = read_tensors(folder)
    config = config_from_hf(raw, tensors, str(folder / "config.json"))
    return config, state_from_hf(config, tensors, str(folder))


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All weights of a folder: model.safetensors or pytorch_model.bin, whole or sharded. Raises UserError."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return _read_file(folder / name)
        if index.is_file():
            tensors: dict[str, Tensor] = {}
            for shard in sorted(set(read_json(index).get("weight_map", {}).values())):
                if Path(shard).name != shard:
                    raise UserError(f"{index}: weight_map names {shard!r}; legal: a file of the same folder")
                tensors |= _read_file(folder / shard)
            return tensors
    raise UserError(
        f"{folder}: no weights; expected model.safetensors or pytorch_model.bin, or their .index.json"
    )


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        mapped = zipfile.is_zipfile(path)  # not what PyTorch wrote before 1.6
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise UserError(f"{path}: missing, and the index names it") from None
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as weights: {error}") from None
    except Exception as error:  # weights_only raises UnpicklingError with advice to switch it off
        raise UserError(
            f"{path}: not a plain file of tensors ({type(error).__name__}); it was not loaded"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: not a mapping from names to tensors")
    return state


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. UserError when it is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: not a JSON object")
    return value


def write_tensors(tensors: Mapping[str, Tensor], folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
    """model.safetensors, or shards of `shard_bytes` at most and an index. The bytes depend on the tensors alone."""
    ordered = {name: tensors[name].contiguous() for name in sorted(tensors)}
    split = split_torch_state_dict_into_shards(ordered, max_shard_size=shard_bytes)
    for file, names in split.filename_to_tensors.items():
        tensor_file.write_tensors(folder / file, {name: ordered[name] for name in names}, {"format": "pt"})
    if split.is_sharded:
        index = {
            "metadata": {"total_size": split.metadata["total_size"]},
            "weight_map": split.tensor_to_filename,
        }
        write_json(index, folder / "model.safetensors.index.json")


def write_json(value: Any, path: Path) -> None:
    """Indented, sorted, with a newline at the end."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def sync_folder(folder: Path) -> None:
    """fsync every file of `folder` and the folder itself."""
    for path in [*sorted(folder.iterdir()), folder]:
        files.sync(path)
