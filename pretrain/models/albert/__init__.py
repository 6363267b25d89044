"""ALBERT (Lan et al. 2020): the record of the family, a variation of BERT's. No torch here."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import linguistic_config
from ..bert import FAMILY as BERT
from ..bert.sharding import PLAN
from ..family import Costs, Family, Setting, Small
from . import costs
from .config import AlbertConfig
from .hf import HF

if TYPE_CHECKING:
    from torch import nn


def _build(config: AlbertConfig, layers: range | None) -> "nn.Module":
    from .model import Albert

    return Albert(config, layers)


def _problems(config: AlbertConfig, setting: Setting) -> Iterator[str]:
    """As of a BERT of one layer: features.bias_layers can name only that."""
    yield from BERT.problems(config.model_copy(update={"num_layers": 1}), setting)


def _small(config: AlbertConfig, shape: Small) -> AlbertConfig:
    update = {
        "features": linguistic_config.small(config.features, 1, shape.heads),
        "embedding_size": 6 * shape.heads,
    }
    small = BERT.small(config, shape).model_copy(update=update)
    assert isinstance(small, AlbertConfig)
    return small


def _bare(config: AlbertConfig) -> AlbertConfig:
    bare = BERT.bare(config)
    assert isinstance(bare, AlbertConfig)
    return bare


FAMILY = Family(
    name="albert",
    config=AlbertConfig,
    objectives=BERT.objectives,
    tokenizer=BERT.tokenizer,
    costs=Costs(costs.layers, costs.parameters, costs.forward_flops, costs.kept_bytes),
    plan=PLAN | {"projection": "replicated"},
    build=_build,
    init=BERT.init,
    losses=BERT.losses,
    pad=BERT.pad,
    outputs=BERT.outputs,
    problems=_problems,
    switches=BERT.switches,
    tables=BERT.tables,
    bare=_bare,
    small=_small,
    probe=BERT.probe,
    hf=HF,
    longest=BERT.longest,
    knowledge_width=BERT.knowledge_width,
    label_positions=BERT.label_positions,
)
