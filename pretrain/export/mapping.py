"""Weights in both directions: our names <-> Hugging Face's, by the table of the model's family."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from taixue.base import UserError

from ..config.schema import ModelConfig
from ..models import FAMILIES, build_model
from ..models.hugging_face import NameMap, is_extra


def name_map(config: ModelConfig) -> NameMap:
    """The table of the model that `config` describes."""
    return FAMILIES.of(config).hf.names(config)


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every parameter of the whole model by our name, without allocating it."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in build_model(config).named_parameters()}


def state_to_hf(config: ModelConfig, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a complete state and leave out the extras; tensors are not copied. UserError where it does not fit."""
    names = name_map(config)
    misfits = _misfits(parameter_shapes(config), state)
    _refuse("checkpoint", [f"{name}: {what}" for name, what in misfits])
    section = type(config)
    return {names.to_hf(name): tensor for name, tensor in state.items() if not is_extra(section, name)}


def state_from_hf(
    config: ModelConfig, tensors: Mapping[str, Tensor], where: str
) -> tuple[dict[str, Tensor], list[str]]:
    """HF tensors by our names, fp32, and the names that `tensors` lacked and that start as in a new run.

    Raises UserError listing every tensor that is missing, unknown, of another shape, or that should repeat
    another and does not.
    """
    names, shapes = name_map(config), parameter_shapes(config)
    renamed: dict[str, Tensor] = {}
    problems = []
    for hf_name, tensor in tensors.items():
        modern = hf_name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
            "LayerNorm.beta", "LayerNorm.bias"
        )
        ours = names.from_hf(modern)
        if ours in shapes:
            renamed[ours] = tensor.float()
        elif modern in names.copies:
            original = tensors.get(names.copies[modern])
            if original is None or not torch.equal(tensor, original):
                problems.append(
                    f"{hf_name}: differs from {names.copies[modern]}; taixue's model has one for both"
                )
        elif modern not in names.unused:
            problems.append(f"{hf_name}: unknown")
    fresh = sorted(name for name in shapes.keys() - renamed.keys() if name.startswith(names.may_lack))
    init = FAMILIES.of(config).init
    renamed |= {name: init(name, shapes[name], config, 0) for name in fresh}
    problems += [f"{names.to_hf(name)}: {what}" for name, what in _misfits(shapes, renamed)]
    _refuse(where, problems)
    return {name: renamed[name] for name in shapes}, fresh


def _misfits(shapes: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """(our name, what is wrong with it) for every difference between `shapes` and `state`."""
    for name in shapes.keys() | state.keys():
        if name not in state:
            yield name, "missing"
        elif name not in shapes:
            yield name, "unknown"
        elif tuple(state[name].shape) != shapes[name]:
            yield name, f"shape {tuple(state[name].shape)}, the config says {shapes[name]}"


def _refuse(where: str, problems: list[str]) -> None:
    if problems:
        shown = "\n  ".join(sorted(problems)[:20])
        more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise UserError(f"{where}: tensors that do not fit the model ({len(problems)}):\n  {shown}{more}")
