"""T5 (Raffel et al. 2020), v1.0 and v1.1: the record of the family. No torch here."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .. import linguistic_config
from ..family import Continuing, Costs, Family, Lengths, Setting, Small
from . import costs
from .config import T5Config
from .hf import HF
from .sharding import PLAN

if TYPE_CHECKING:
    from torch import Tensor, nn


def _build(config: T5Config, layers: range | None) -> "nn.Module":
    from .model import T5

    return T5(config, layers)


def _init(name: str, shape: tuple[int, ...], config: T5Config, seed: int) -> "Tensor":
    from ..init import init_weight
    from .init import initial_std

    return init_weight(name, shape, initial_std(name, config), seed)


def _pad(batch: Mapping[str, "Tensor"], multiple: int) -> dict[str, "Tensor"]:
    from .batches import pad

    return pad(batch, multiple)


def _probe(config: T5Config, samples: int, step: int, lengths: Lengths) -> dict[str, "Tensor"]:
    from .batches import probe

    return probe(config, samples, step, lengths)


def _problems(config: T5Config, setting: Setting) -> Iterator[str]:
    if not 4 <= config.relative_buckets <= 2 * config.relative_max_distance - 2:
        yield (
            f"model.relative_buckets: {config.relative_buckets} with relative_max_distance "
            f"{config.relative_max_distance}; legal: 4 to {2 * config.relative_max_distance - 2}"
        )
    if setting.knowledge:
        yield f"knowledge.vectors: a {config.family} model takes none; leave it empty"
    layers, heads = config.num_encoder_layers, config.num_heads
    yield from linguistic_config.problems(config.features, layers, heads, setting.tp)


def _small(config: T5Config, shape: Small) -> T5Config:
    most = max(2, shape.ranks)
    encoder, decoder = min(config.num_encoder_layers, most), min(config.num_decoder_layers, most)
    if encoder + decoder < 2 * shape.ranks:  # uneven depths stay uneven: 1 + 5 layers are tested as 1 + 5
        decoder = min(config.num_decoder_layers, 2 * shape.ranks - encoder)
        encoder = min(config.num_encoder_layers, 2 * shape.ranks - decoder)
    if encoder + decoder < 2 * shape.ranks:
        # the run itself has too few layers for two stages a rank: verify as if not
        encoder = decoder = shape.ranks
    update = {
        "features": linguistic_config.small(config.features, encoder, shape.heads),
        "vocab_size": 24 * shape.heads,
        "d_model": 8 * shape.heads,
        "d_kv": 4,
        "d_ff": 12 * shape.heads,
        "num_heads": shape.heads,
        "num_encoder_layers": encoder,
        "num_decoder_layers": decoder,
        "relative_buckets": 8,
        "relative_max_distance": 12,
    }
    return config.model_copy(update=update)


FAMILY = Family(
    name="t5",
    config=T5Config,
    objectives=("span-corruption", "prefix-lm", "ul2"),
    tokenizer="t5",
    costs=Costs(costs.layers, costs.parameters, costs.forward_flops, costs.kept_bytes),
    plan=PLAN,
    build=_build,
    init=_init,
    losses=lambda config: {"span": "labels"},
    pad=_pad,
    outputs={"states": ("lm_head", "decoder_input_ids"), "memory": ("memory", "input_ids")},
    problems=_problems,
    switches=lambda config: {"features": linguistic_config.switch(config.features)},
    tables=lambda config: linguistic_config.tables(config.features),
    bare=lambda config: config.model_copy(update={"features": linguistic_config.FeaturesConfig()}),
    small=_small,
    probe=_probe,
    hf=HF,
    continuing=Continuing({"name": "adafactor", "lr": 1e-3, "weight_decay": 0.0}, "constant"),
    fp16=(
        "a T5 overflows: its activations pass fp16's largest number, 65504, and its authors trained in bfloat16"
    ),
)
