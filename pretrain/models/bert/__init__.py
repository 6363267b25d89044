"""BERT (Devlin et al. 2019) and Megatron-BERT (Shoeybi et al. 2019): the record of the family. No torch here."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .. import linguistic_config
from ..family import Costs, Family, Lengths, Setting, Small, Switch, Table
from . import costs
from .config import BertConfig
from .heads import AUXILIARY, HeadsConfig, losses
from .hf import HF
from .sharding import PLAN

if TYPE_CHECKING:
    from torch import Tensor, nn


def _build(config: BertConfig, layers: range | None) -> "nn.Module":
    from .model import Bert

    return Bert(config, layers)


def _init(name: str, shape: tuple[int, ...], config: BertConfig, seed: int) -> "Tensor":
    from ..init import init_weight
    from .init import initial_std

    return init_weight(name, shape, initial_std(name, shape), seed)


def _probe(config: BertConfig, samples: int, step: int, lengths: Lengths) -> dict[str, "Tensor"]:
    from .batches import probe

    return probe(config, samples, step, lengths)


def _pad(batch: Mapping[str, "Tensor"], multiple: int) -> dict[str, "Tensor"]:
    """Label positions; validation wants a length of the sequence that ranks can share out."""
    from .batches import pad

    return pad(batch, multiple)


def _problems(config: BertConfig, setting: Setting) -> Iterator[str]:
    longest = config.max_positions
    if setting.input_length > longest:
        yield (
            f"objective.input_length: {setting.input_length} exceeds model.max_positions {longest}; at most {longest}"
        )
    if setting.sentence_order and config.token_types < 2:
        yield "model.token_types: 1 cannot tell two segments apart; set it to 2, or objective.sentence_order to false"
    if config.d_model % config.num_heads:
        yield f"model.num_heads: d_model {config.d_model} is not divisible by num_heads {config.num_heads}"
    yield from linguistic_config.problems(config.features, config.num_layers, config.num_heads, setting.tp)
    if config.knowledge_width and not setting.knowledge:
        yield (
            f"model.knowledge_width: {config.knowledge_width} without knowledge.vectors; name the folder that "
            "`taixue knowledge transe` wrote, or set it to 0"
        )
    states = setting.mentions * setting.answer_tokens
    if setting.knowledge and setting.sequence_parallel and states % setting.tp:
        legal = -(-setting.answer_tokens // setting.tp) * setting.tp
        yield (
            f"knowledge.mentions {setting.mentions} x answer_tokens {setting.answer_tokens} = {states} is not "
            f"divisible by parallel.tp {setting.tp}; set answer_tokens to {legal}"
        )


def _switches(config: BertConfig) -> dict[str, Switch]:
    """Labels are made for the heads that there are."""
    classes = config.heads.model_dump()
    switches = {"features": linguistic_config.switch(config.features)}
    for switch in dict.fromkeys(head.switch for head in AUXILIARY):
        names = [head.name for head in AUXILIARY if head.switch == switch]
        numbers = " and ".join(f"{name} is {classes[name]}" for name in names)
        switches[switch] = Switch(any(classes[name] for name in names), f"model.heads.{numbers}")
    return switches


def _tables(config: BertConfig) -> dict[str, Table]:
    classes = config.heads.model_dump()
    heads = {f"heads.{head.name}": Table(head.names, head.words, classes[head.name]) for head in AUXILIARY}
    return linguistic_config.tables(config.features) | heads


def _bare(config: BertConfig) -> BertConfig:
    features = linguistic_config.FeaturesConfig()
    return config.model_copy(update={"features": features, "heads": HeadsConfig(), "knowledge_width": 0})


def _small(config: BertConfig, shape: Small) -> BertConfig:
    layers = max(4, 2 * shape.ranks)
    classes = {name: min(count, 5) for name, count in config.heads.model_dump().items()}
    update = {
        "features": linguistic_config.small(config.features, layers, shape.heads),
        "heads": config.heads.model_copy(update=classes),
        "knowledge_width": min(config.knowledge_width, 6),
        "vocab_size": 24 * shape.heads,
        "d_model": 8 * shape.heads,
        "d_ff": 12 * shape.heads,
        "num_heads": shape.heads,
        "num_layers": layers,
        "max_positions": shape.positions,
    }
    return config.model_copy(update=update)


FAMILY = Family(
    name="bert",
    config=BertConfig,
    objectives=("mlm",),
    tokenizer="bert",
    costs=Costs(costs.layers, costs.parameters, costs.forward_flops, costs.kept_bytes),
    plan=PLAN,
    build=_build,
    init=_init,
    losses=lambda config: losses(config.heads, config.knowledge_width > 0),
    pad=_pad,
    outputs={"states": ("predicted", "input_ids")},
    problems=_problems,
    switches=_switches,
    tables=_tables,
    bare=_bare,
    small=_small,
    probe=_probe,
    hf=HF,
    longest=lambda config: config.max_positions,
    knowledge_width=lambda config: config.knowledge_width,
    label_positions=True,
)
