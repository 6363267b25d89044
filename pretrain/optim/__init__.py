"""What turns gradients into weights: optimizers on sharded parameters, learning rate, loss scaling."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..config.schema import OptimizerConfig
from .adafactor import Adafactor
from .adamw import AdamW, AdamWRms
from .schedule import learning_rate

__all__ = ["TrainOptimizer", "build_optimizer", "learning_rate", "optimizer_tensors"]

TrainOptimizer = AdamW | AdamWRms | Adafactor


def build_optimizer(
    config: OptimizerConfig, named_parameters: Sequence[tuple[str, nn.Parameter]]
) -> TrainOptimizer:
    """The optimizer of this rank's parameters, plain or DTensor, its state made (zero).

    Weight decay spares vectors (norms, biases) and attention-bias tables. The learning rate of a step is what
    param_groups[...]["lr"] says; `updates` counts the updates applied and can be set on resume.
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
    match config.name:
        case "adamw":
            return AdamW(groups, config.lr, config.betas, config.eps)
        case "adamw-rms":
            return AdamWRms(groups, config.lr, config.betas, config.eps)
        case "adafactor":
            return Adafactor(groups, config.lr)


def optimizer_tensors(
    optimizer: TrainOptimizer, named_parameters: Sequence[tuple[str, nn.Parameter]]
) -> dict[str, Tensor]:
    """State tensors (not copies) under the keys `<state>.<parameter name>`, the update count left out.

    A name that several local pipeline stages hold (tied weights) appears once, from the first.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in named_parameters:
        for key, value in optimizer.state[parameter].items():
            if key != "step":
                tensors.setdefault(f"{key}.{name}", value)
    return tensors
