"""Models, built from a config. One registry entry per family; parallel/ is handed a ModelSpec and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from ..config.schema import BertConfig, T5Config
from .bert.model import Bert, loss_names
from .init import init_weight
from .sharding import BERT_PLAN, T5_PLAN
from .t5.model import T5

__all__ = ["ModelSpec", "build_model", "model_spec"]


@dataclass(frozen=True)
class ModelSpec:
    """All that the parallel runtime needs to know about a model.

    build(layers) makes a slice; plan names tensor-parallel roles; layer_costs are forward FLOPs per sample by layer,
    head included in the last; init(name, shape) gives starting weights; loss_names names the loss vector's entries.
    """

    build: Callable[[range | None], nn.Module]
    plan: Mapping[str, str]
    layer_costs: tuple[float, ...]
    init: Callable[[str, tuple[int, ...]], Tensor]
    loss_names: tuple[str, ...]


def build_model(config: T5Config | BertConfig, layers: range | None = None) -> nn.Module:
    """The model of `config`, or the slice `layers` of it. Weights are not initialised for training; see init.py."""
    return T5(config, layers) if isinstance(config, T5Config) else Bert(config, layers)


def model_spec(config: T5Config | BertConfig, seed: int, lengths: tuple[int, int]) -> ModelSpec:
    """Spec of `config`; lengths = (source or sequence length, target length or 0) size the costs."""
    build, init = partial(build_model, config), partial(init_weight, config=config, seed=seed)
    if isinstance(config, T5Config):
        return ModelSpec(build, T5_PLAN, _t5_costs(config, *lengths), init, T5.loss_names)
    return ModelSpec(build, BERT_PLAN, _bert_costs(config, lengths[0]), init, loss_names(config))


def _t5_costs(config: T5Config, source: int, target: int) -> tuple[float, ...]:
    """Forward FLOPs of each layer for one sample: 2 per weight and token, 4 per score and head dim."""
    d, inner = config.d_model, config.num_heads * config.d_kv
    ffn = (3 if config.ffn == "gated-gelu" else 2) * 2 * d * config.d_ff
    encoder = source * (8 * d * inner + ffn) + 4 * source * source * inner
    decoder = (
        target * (12 * d * inner + ffn) + source * 4 * d * inner + 4 * target * (target + source) * inner
    )
    head = 2 * target * d * config.vocab_size
    costs = [encoder] * config.num_encoder_layers + [decoder] * config.num_decoder_layers
    costs[-1] += head
    return tuple(float(cost) for cost in costs)


def _bert_costs(config: BertConfig, length: int) -> tuple[float, ...]:
    d = config.d_model
    layer = length * (8 * d * d + 4 * d * config.d_ff) + 4 * length * length * d
    head = 2 * length * d * (d + config.vocab_size)
    costs = [float(layer)] * config.num_layers
    costs[-1] += float(head)
    return tuple(costs)
