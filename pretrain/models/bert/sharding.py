"""How a BERT is split over tensor-parallel ranks; see ../sharding.py."""

from ..sharding import FEATURES, LAYER, below

PLAN = {
    "embeddings.word": "vocabulary-embedding",
    "embeddings.position": "split",
    "embeddings.token_type": "split",
    "embeddings.norm": "replicated",
    "embeddings.dropout": "drop-states",
    **below("embeddings", FEATURES),
    "final_norm": "replicated",
    "predicted": "pick",
    "mlm_transform.dense": "replicated",
    "mlm_transform.norm": "replicated",
    "lm_head": "vocabulary-head",
    "pooler": "gather",
    "sop_head": "whole",
    "tagged": "gather",
    "embeddings.knowledge.project": "split",
    "embeddings.knowledge.inside": "split",
    "relational.memory": "assemble",
    "relational.relation": "replicated",
    "relational.norm": "replicated",
    "relational.step": "replicated",
    "relational.answers": "split",
    "heads.*": "whole",
    "layers.*.group_bias": "heads",
    **below("layers.*", LAYER),
}
