"""How a T5 is split over tensor-parallel ranks; see ../sharding.py."""

from ..sharding import FEATURES, LAYER, below

REST = {
    "shared": "vocabulary-embedding",
    **FEATURES,
    "encoder.final_norm": "replicated",
    "decoder.final_norm": "replicated",
    "memory": "enter",
    "source_dropout": "drop-states",
    "target_dropout": "drop-states",
    "encoder.dropout": "drop-states",
    "decoder.dropout": "drop-states",
    "lm_head": "vocabulary-head",
    "encoder.layers.*.group_bias": "heads",
    **below("encoder.layers.*", LAYER),
    **below("decoder.layers.*", LAYER),
}
"""All but the tables of relative biases."""

PLAN = REST | {"encoder.relative_bias": "heads", "decoder.relative_bias": "heads"}
