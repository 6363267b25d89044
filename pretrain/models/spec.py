"""What parallel/ is told about a model. No torch here: it is imported when a model is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from taixue.base.section import Section

from .family import FAMILIES, Lengths

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class ModelSpec:
    """All that the parallel runtime needs to know about a model.

    build(layers) makes a slice; plan names tensor-parallel roles; layer_costs are forward FLOPs per sample by layer,
    head included in the last; init(name, shape) gives starting weights; loss_names names the loss vector's entries;
    pad(batch, multiple) extends what sequence shards share out, without an effect on any loss; outputs: see Family.
    """

    build: "Callable[[range | None], nn.Module]"
    plan: Mapping[str, str]
    layer_costs: tuple[float, ...]
    init: "Callable[[str, tuple[int, ...]], Tensor]"
    loss_names: tuple[str, ...]
    pad: "Callable[[Mapping[str, Tensor], int], dict[str, Tensor]]"
    outputs: Mapping[str, tuple[str, str]]


def build_model(config: Section, layers: range | None = None) -> "nn.Module":
    """The model of `config`, or the slice `layers` of it. Weights are not initialised for training."""
    return FAMILIES.of(config).build(config, layers)


def model_spec(config: Section, seed: int, lengths: Lengths, *, teacher: bool = False) -> ModelSpec:
    """Spec of `config`; lengths = (source or sequence length, target length or 0) size the costs. teacher: batches hold
    what a teacher says, and the loss vector ends with the loss against it."""
    family = FAMILIES.of(config)
    return ModelSpec(
        build=partial(family.build, config),
        plan=family.plan,
        layer_costs=family.costs.forward_flops(config, lengths),
        init=lambda name, shape: family.init(name, shape, config, seed),
        loss_names=(*family.losses(config), *(("teacher",) if teacher else ())),
        pad=family.pad,
        outputs=family.outputs,
    )
