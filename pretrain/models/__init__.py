"""Models, built from a config. One registry entry per family; parallel/ is handed a ModelSpec and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from taixue.kernels.loss import IGNORE

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
    pad(batch, multiple) lengthens a batch to a multiple of it where that may be needed, by positions no loss sees.
    outputs: name of states -> (module of the last slice whose first input they are, entry of the batch whose length
    they have); "states" are the final ones, as the head is given them.
    """

    build: Callable[[range | None], nn.Module]
    plan: Mapping[str, str]
    layer_costs: tuple[float, ...]
    init: Callable[[str, tuple[int, ...]], Tensor]
    loss_names: tuple[str, ...]
    pad: Callable[[Mapping[str, Tensor], int], dict[str, Tensor]]
    outputs: Mapping[str, tuple[str, str]]


def build_model(config: T5Config | BertConfig, layers: range | None = None) -> nn.Module:
    """The model of `config`, or the slice `layers` of it. Weights are not initialised for training; see init.py."""
    return T5(config, layers) if isinstance(config, T5Config) else Bert(config, layers)


def model_spec(config: T5Config | BertConfig, seed: int, lengths: tuple[int, int]) -> ModelSpec:
    """Spec of `config`; lengths = (source or sequence length, target length or 0) size the costs."""
    build, init = partial(build_model, config), partial(init_weight, config=config, seed=seed)
    if isinstance(config, T5Config):
        costs = _t5_costs(config, *lengths)
        return ModelSpec(build, T5_PLAN, costs, init, T5.loss_names, pad_targets, T5_OUTPUTS)
    costs, names = _bert_costs(config, lengths[0]), loss_names(config)
    return ModelSpec(build, BERT_PLAN, costs, init, names, lambda batch, multiple: dict(batch), BERT_OUTPUTS)


T5_OUTPUTS = {"states": ("lm_head", "decoder_input_ids"), "memory": ("memory", "input_ids")}
BERT_OUTPUTS = {"states": ("mlm_transform", "input_ids")}


def pad_targets(batch: Mapping[str, Tensor], multiple: int) -> dict[str, Tensor]:
    """Extend a T5's targets (B, T) to a multiple of `multiple`; what is added comes last and is ignored."""
    missing = -batch["decoder_input_ids"].shape[1] % multiple
    filling = {"decoder_input_ids": 0, "labels": IGNORE, "decoder_segments": 0}
    padded = {name: F.pad(batch[name], (0, missing), value=v) for name, v in filling.items() if name in batch}
    return {**batch, **padded}


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
