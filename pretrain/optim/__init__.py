"""What turns gradients into weights: optimizers on sharded parameters, learning rate, loss scaling.

No torch is imported before an optimizer is built: the schema of a run is made of what is registered here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from taixue.base.registry import UnionRegistry

from .config import AdafactorConfig, AdamWConfig, AdamWRmsConfig, OptimizerSection, ScheduleSection
from .schedule import SCHEDULES, ScheduleKind, learning_rate

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "OptimizerKind",
    "OptimizerSection",
    "ScheduleKind",
    "ScheduleSection",
    "TrainOptimizer",
    "build_optimizer",
    "learning_rate",
    "optimizer_tensors",
]

Groups = list[dict[str, Any]]
"""What torch's optimizers take: [{"params": [...], "weight_decay": ...}, ...]."""


class TrainOptimizer(Protocol):
    """What a run needs of an optimizer; torch.optim.Optimizer has all but `updates` and `scale`.

    updates counts the updates applied and is set on resume. state holds, for each parameter, tensors sharded as the
    parameter is, made (zero) when the optimizer is: checkpoints keep them by name. The learning rate of a step is what
    param_groups[...]["lr"] says.
    """

    updates: int
    param_groups: Groups
    state: Any

    def step(self, closure: None = None, *, scale: "Tensor | None" = None) -> None:
        """One update of every parameter that has a gradient. Gradients may be overwritten; they are first multiplied by
        `scale`, 0-dim on their device."""
        ...


@dataclass(frozen=True)
class OptimizerKind:
    """An optimizer by its name in configurations.

    config: its section, an OptimizerSection. build(config, groups): the optimizer of this rank's parameters, plain or
    DTensor (elementwise.py is a base for most).
    """

    name: str
    config: type[OptimizerSection]
    build: Callable[[Any, Groups], TrainOptimizer]


OPTIMIZERS: UnionRegistry[OptimizerKind] = UnionRegistry("optimizer", OptimizerKind, "name", OptimizerSection)


def build_optimizer(
    config: OptimizerSection, named_parameters: "Sequence[tuple[str, nn.Parameter]]"
) -> TrainOptimizer:
    """The optimizer of this rank's parameters, plain or DTensor, its state made (zero).

    Weight decay spares vectors (norms, biases) and attention-bias tables.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for name, parameter in named_parameters:
        (spared if parameter.ndim < 2 or name.endswith("_bias.weight") else decayed).append(parameter)
    groups = [
        {"params": members, "weight_decay": decay}
        for members, decay in ((decayed, config.weight_decay), (spared, 0.0))
        if members
    ]
    return OPTIMIZERS.of(config).build(config, groups)


def optimizer_tensors(
    optimizer: TrainOptimizer, named_parameters: "Sequence[tuple[str, nn.Parameter]]"
) -> "dict[str, Tensor]":
    """State tensors (not copies) under the keys `<state>.<parameter name>`, the update count left out.

    A name that several local pipeline stages hold (tied weights) appears once, from the first.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in named_parameters:
        for key, value in optimizer.state[parameter].items():
            if key != "step":
                tensors.setdefault(f"{key}.{name}", value)
    return tensors


def _adamw(config: AdamWConfig, groups: Groups) -> TrainOptimizer:
    from .adamw import AdamW

    return AdamW(groups, config.lr, config.betas, config.eps)


def _adamw_rms(config: AdamWRmsConfig, groups: Groups) -> TrainOptimizer:
    from .adamw import AdamWRms

    return AdamWRms(groups, config.lr, config.betas, config.eps)


def _adafactor(config: AdafactorConfig, groups: Groups) -> TrainOptimizer:
    from .adafactor import Adafactor

    return Adafactor(groups, config.lr)


OPTIMIZERS.add(OptimizerKind("adamw", AdamWConfig, _adamw))
OPTIMIZERS.add(OptimizerKind("adamw-rms", AdamWRmsConfig, _adamw_rms))
OPTIMIZERS.add(OptimizerKind("adafactor", AdafactorConfig, _adafactor))
