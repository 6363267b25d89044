"""Model configs in both directions: ours <-> the contents of Hugging Face's config.json."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taixue.base import UserError

from ..config.schema import ModelConfig
from ..models import FAMILIES

if TYPE_CHECKING:
    from torch import Tensor

_NOT_CARRIED = {
    *("id2label", "label2id", "num_labels", "problem_type"),
    *("dtype", "torch_dtype", "torchscript", "quantization_config", "transformers_version"),
    *("auto_map", "scale_decoder_outputs", "tokenizer_class"),
}
_MOST_CARRIED = 20_000  # characters


def model_type(config: ModelConfig) -> str:
    """HF's model_type of `config`."""
    return FAMILIES.of(config).hf.model_type(config)


def hf_class(config: ModelConfig) -> str:
    """The class of transformers that an export of `config` is made for."""
    return FAMILIES.of(config).hf.classes[model_type(config)]


def config_to_hf(
    config: ModelConfig, *, pad_id: int, eos_id: int, dtype: str, said: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Contents of config.json, as transformers 4 and 5 read it alike. dtype is "float32" or "bfloat16".

    said: what the folder that the run started from says (`carried`); it stays where our model does not decide.
    """
    form, said = FAMILIES.of(config).hf, dict(said or {})
    named = said.pop("architectures", None)
    can_be = isinstance(named, list) and len(named) == 1 and named[0] in form.named_by
    shared = {
        "architectures": named if can_be else [hf_class(config)],
        "model_type": model_type(config),
        "pad_token_id": pad_id,
        "torch_dtype": dtype,
    }
    return {**form.defaults, **said, **shared, **form.to_config(config, pad_id, eos_id)}


def carried(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What of a folder's config.json goes on into the exports of runs that start from it: not what speaks of that
    folder's files, of its writer, of code, or of the classes of a task. {} when it is unreasonably long."""
    kept = {name: value for name, value in raw.items() if name not in _NOT_CARRIED and name[:1] != "_"}
    return kept if len(json.dumps(kept)) <= _MOST_CARRIED else {}


def config_from_hf(raw: Mapping[str, Any], tensors: "Mapping[str, Tensor]", where: str) -> ModelConfig:
    """Our config for the contents of a config.json and the weights beside it. Raises UserError on what we cannot be."""
    kind = raw.get("model_type", _by_class(raw))
    for family in FAMILIES:
        if kind in family.hf.reads:
            return family.hf.from_config({**raw, "model_type": kind}, tensors, where)
    legal = ", ".join(name for family in FAMILIES for name in family.hf.reads)
    needed = (
        'write the "model_type" of its models into it'
        if kind is None
        else "a model of another kind needs a family of its own (docs/extending.md)"
    )
    raise UserError(f"{where}: model_type {kind!r}; legal: {legal}; {needed}")


def _by_class(raw: Mapping[str, Any]) -> str | None:
    """The model_type of the class that is named: files older than transformers 2.2 have only that."""
    named = raw.get("architectures")
    name = str(named[0]) if isinstance(named, list) and named else ""
    for family in FAMILIES:
        for kind, known in family.hf.classes.items():
            if (
                name.startswith(known.partition("For")[0] + "For")
                or name == known.partition("For")[0] + "Model"
            ):
                return kind
    return None
