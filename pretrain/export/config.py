"""Model configs in both directions: ours <-> the contents of Hugging Face's config.json."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taixue.base import UserError

from ..config.schema import ModelConfig
from ..models import FAMILIES

if TYPE_CHECKING:
    from torch import Tensor


def model_type(config: ModelConfig) -> str:
    """HF's model_type of `config`."""
    return FAMILIES.of(config).hf.model_type(config)


def hf_class(config: ModelConfig) -> str:
    """The class of transformers that an export of `config` is made for."""
    return FAMILIES.of(config).hf.classes[model_type(config)]


def config_to_hf(config: ModelConfig, *, pad_id: int, eos_id: int, dtype: str) -> dict[str, Any]:
    """Contents of config.json, as transformers 4 and 5 read it alike. dtype is "float32" or "bfloat16"."""
    shared = {
        "architectures": [hf_class(config)],
        "model_type": model_type(config),
        "pad_token_id": pad_id,
        "torch_dtype": dtype,
    }
    return shared | FAMILIES.of(config).hf.to_config(config, pad_id, eos_id)


def config_from_hf(raw: Mapping[str, Any], tensors: "Mapping[str, Tensor]", where: str) -> ModelConfig:
    """Our config for the contents of a config.json and the weights beside it. Raises UserError on what we cannot be."""
    kind = raw.get("model_type")
    for family in FAMILIES:
        if kind in family.hf.reads:
            return family.hf.from_config(raw, tensors, where)
    legal = ", ".join(name for family in FAMILIES for name in family.hf.reads)
    raise UserError(f"{where}: model_type {kind!r}; legal: {legal}")
