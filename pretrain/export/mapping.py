"""Weights in both directions: our names <-> Hugging Face's, by the table of the model's family."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from taixue.base import UserError

from ..config.schema import ModelConfig
from ..models import FAMILIES, build_model
from ..models.hugging_face import NameMap, is_extra
from .config import hf_class

_MOST_SHOWN = 3


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


class Weights(NamedTuple):
    """What a folder's tensors are to a model of ours."""

    state: dict[str, Tensor]
    """By our names, whole, fp32."""
    fresh: list[str]
    """Of these the names that the folder lacked; they are as in a new run."""
    left: list[str]
    """HF names of heads for tasks, which were left behind."""


def state_from_hf(config: ModelConfig, tensors: Mapping[str, Tensor], where: str) -> Weights:
    """HF tensors by our names. Names of older versions, of models without heads and with heads for tasks are read, and
    a weight that only a copy of it names.

    Raises UserError naming the tensors that are missing, unknown, of another shape, or that should repeat
    another and do not.
    """
    names, shapes = name_map(config), parameter_shapes(config)
    named = _modern(names, tensors)
    left = sorted(name for name in named if name.startswith(names.of_tasks))
    named = {name: tensor for name, tensor in named.items() if name not in left}
    for copy, original in names.copies.items():
        if copy in named and original not in named and names.from_hf(copy) not in shapes:
            named[original] = named[copy]
    complete = FAMILIES.of(config).hf.complete(config, named)

    found: dict[str, Tensor] = {}
    problems = []
    for name, tensor in complete.items():
        ours = names.from_hf(name)
        if ours in shapes:
            found[ours] = tensor.float()
        elif name in names.copies:
            repeated = complete.get(names.copies[name])
            if repeated is None or not torch.equal(tensor, repeated):
                problems.append(f"{name}: differs from {names.copies[name]}; taixue's model has one for both")
        elif name not in names.unused:
            problems.append(f"{name}: unknown")
    lacked = tuple(part for part in names.may_lack if not any(name.startswith(part) for name in found))
    fresh = sorted(name for name in shapes if name.startswith(lacked)) if lacked else []
    init = FAMILIES.of(config).init
    found |= {name: init(name, shapes[name], config, 0) for name in fresh}
    problems += [f"{names.to_hf(name)}: {what}" for name, what in _misfits(shapes, found)]
    _refuse(where, problems, f"a folder that {hf_class(config)} of transformers saved has all of its tensors")
    return Weights({name: found[name] for name in shapes}, fresh, left)


def _modern(names: NameMap, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by the names that they have in the file of a model with heads, as transformers writes it today."""
    bare = not any(name.startswith(names.inside) for name in tensors)
    return {
        ((names.inside if bare else "") + name.removeprefix(names.wrapped))
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias"): tensor
        for name, tensor in tensors.items()
    }


def _misfits(shapes: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """(our name, what is wrong with it) for every difference between `shapes` and `state`."""
    for name in shapes.keys() | state.keys():
        if name not in state:
            yield name, "missing"
        elif name not in shapes:
            yield name, "unknown"
        elif tuple(state[name].shape) != shapes[name]:
            yield name, f"shape {tuple(state[name].shape)}, the config says {shapes[name]}"


def _refuse(where: str, problems: list[str], remedy: str = "") -> None:
    if problems:
        shown = "\n  ".join(sorted(problems)[:_MOST_SHOWN])
        more = f"\n  and {len(problems) - _MOST_SHOWN} more" if len(problems) > _MOST_SHOWN else ""
        remedy = f"\n{remedy}" if remedy else ""
        raise UserError(
            f"{where}: tensors that do not fit the model ({len(problems)}):\n  {shown}{more}{remedy}"
        )
