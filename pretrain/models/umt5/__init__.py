"""UMT5 (Chung et al. 2023): T5 v1.1 with a table of relative biases in every layer. No torch here."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..family import Costs
from ..t5 import FAMILY as T5
from ..t5 import costs
from ..t5.config import T5Config
from ..t5.sharding import REST
from .config import UMT5Config
from .hf import HF

if TYPE_CHECKING:
    from torch import nn

PLAN = REST | {"encoder.layers.*.relative_bias": "heads", "decoder.layers.*.relative_bias": "heads"}


def _build(config: T5Config, layers: range | None) -> "nn.Module":
    from ..t5.model import T5 as Model

    return Model(config, layers, layer_tables=True)


FAMILY = replace(
    T5,
    name="umt5",
    config=UMT5Config,
    costs=Costs(
        costs.layers,
        partial(costs.parameters, layer_tables=True),
        costs.forward_flops,
        partial(costs.kept_bytes, layer_tables=True),
    ),
    plan=PLAN,
    build=_build,
    hf=HF,
)
